/** What a tile is: strided ranges of positions, and what is known about the call around it. */
import { checkInteger, reject } from "@heddle/core";
import { attributeLimit } from "./tree.ts";

/** The positions start, start + step, …: `count` of them. */
export interface StridedRange {
  readonly start: number;
  /** At least 1. */
  readonly step: number;
  /** At least 1. */
  readonly count: number;
}

/** Whether a tile allows no pair, all of its pairs, or (as far as is known) some of them. */
export type TileStatus = "none" | "some" | "all";

/** Least and greatest value of a token attribute over the tokens of one range; both belong to a token. */
export interface AttributeRange {
  readonly minimum: number;
  readonly maximum: number;
  /** What the range was taken from, so that parts of an open tile can be looked at. @default unknown */
  readonly values?: AttributeValues;
}

/** An attribute's value by position; `offset` is the position of the first. */
export interface AttributeValues {
  readonly values: ArrayLike<number>;
  readonly offset: number;
}

/** Attribute ranges by name, of a tile's queries and of its keys. */
export interface TileAttributes {
  readonly query?: Readonly<Record<string, AttributeRange>>;
  readonly key?: Readonly<Record<string, AttributeRange>>;
}

/** The call that a tile belongs to. */
export interface TileContext {
  readonly head: number;
  /** queryOffset plus the number of query rows. */
  readonly queryLength: number;
  readonly keyLength: number;
  /** An attribute that is not given here may be anything. @default none known */
  readonly attributes?: TileAttributes;
}

/** What an attribute is when a tile's context says nothing of it. */
export const anyAttribute: AttributeRange = { minimum: -attributeLimit, maximum: attributeLimit };

/** The last position of a range. */
function lastOf({ start, step, count }: StridedRange): number {
  return start + step * (count - 1);
}

/** Checks that a range is not empty and lies in [0, length). */
export function checkRange(where: string, range: StridedRange, length: number): void {
  checkInteger(`${where}.start`, range.start, { min: 0 });
  checkInteger(`${where}.step`, range.step, { min: 1 });
  checkInteger(`${where}.count`, range.count, { min: 1 });
  if (lastOf(range) >= length) reject(where, `end before position ${length}`, range);
}

/** Least and greatest of the values at a range's positions. */
export function attributeRange({ values, offset }: AttributeValues, range: StridedRange): AttributeRange {
  const [first, last] = [range.start - offset, lastOf(range) - offset];
  if (first < 0 || last >= values.length)
    reject("attributeRange: values", `reach from position ${range.start} to ${lastOf(range)}`, values.length);
  let [minimum, maximum] = [Infinity, -Infinity];
  for (let at = first; at <= last; at += range.step) {
    const value = values[at] ?? 0;
    if (value < minimum) minimum = value;
    if (value > maximum) maximum = value;
  }
  return { minimum, maximum, values: { values, offset } };
}
