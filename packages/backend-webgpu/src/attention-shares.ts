/** What the groups of attention's passes see, should the device not bind all of it: they lie along ranges, heads, batch. */
import type { Tensor } from "@tensorflow/tfjs-core";
import { engine } from "./engine.ts";
import { placeApart, placeOf } from "./heads-in-place.ts";
import type { Place } from "./heads-in-place.ts";
import type { Share } from "./parts.ts";
import { canBind } from "./parts.ts";

/** From the first value of a head to the last of it, or of others behind it. */
const spanOf = ({ head, row, length, width }: Place, heads = 1): number =>
  (heads - 1) * head + (length - 1) * row + width;

/** Whether a device can bind so many heads of a batch row. */
export const canBindHeads = (place: Place, heads: number): boolean =>
  canBind(spanOf(place, heads), engine().device.limits);

/** Where the heads of a tensor lie: apart if, among others in rows, not even one of them can be bound. */
export function boundPlaceOf(tensor: Tensor): Place {
  const place = placeOf(tensor);
  return canBindHeads(place, 1) ? place : placeApart(tensor);
}

/** Heads of a run: group y has `members` from number y `step` + `first` on; so many of them share their keys. */
interface HeadsOfGroups {
  readonly step: number;
  readonly first: number;
  readonly members: number;
  readonly groupSize: number;
}

/** Shares of arrays [B, H, ...] whose heads lie at places: those of queries, or those of keys. */
export function headShares({ step, first, members, groupSize }: HeadsOfGroups): {
  queries(place: Place): Share;
  keys(place: Place): Share;
} {
  const share =
    (size: number) =>
    (place: Place): Share =>
    (groups) => {
      const [, fromGroup, fromBatch] = groups.first;
      const [lastGroup, lastBatch] = [groups.end[1] - 1, groups.end[2] - 1];
      const from = Math.floor((fromGroup * step + first) / size);
      const last = Math.floor((lastGroup * step + first + members - 1) / size);
      const at = (batch: number, head: number): number =>
        place.begin + batch * place.batch + head * place.head;
      return [at(fromBatch, from), at(lastBatch, last) + spanOf(place)];
    };
  return { queries: share(1), keys: share(groupSize) };
}
