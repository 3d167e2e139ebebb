/**
 * What the heads of a call attend to, tile by tile, as the programs of attention read it: one list of words. Tiles that
 * allow no pair are left out, those known to allow all have no mask, and the device makes the masks of the others, once
 * a plan, by the pattern's own expression.
 *
 * A head of a batch row is an entry of `ENTRY.words` for each of its parts. A range is three words: start, step and
 * count; queries count from the call's first row. Each range has a list of tiles, from its address to the next list's;
 * a tile is two words: the address of the other side's range and the number of its mask, or NO_MASK. A mask has a word
 * for each of TILE queries, a bit for each of TILE keys.
 */
import {
  allowsAnything,
  checkAllowsSomething,
  copyMaskShape,
  disjointParts,
  reads,
  resolvePattern,
  sameMaskShape,
  tilesOf,
} from "@heddle/attention";
import type {
  AttentionPattern,
  ExpressionPart,
  MaskShape,
  PatternRow,
  PatternShape,
  StridedRange,
} from "@heddle/attention";
import { RecentlyUsed } from "@heddle/core";
import { maskWords, placeMasks, TILE } from "./attention-masks.ts";
import type { MaskedTiles } from "./attention-masks.ts";
import { engine } from "./engine.ts";
import type { Engine } from "./engine.ts";
import type { Values } from "./run.ts";

/** So few queries, as in decoding, have a group each; more share the keys that a group reads. */
export const FEW = 3;

/** Number of the mask of a tile that allows all its pairs. */
export const NO_MASK = 0xffffffff;

/** Places of an entry's words. Lists: the address of the addresses of each range's tiles, the last one's end behind. */
export const ENTRY = {
  queries: { count: 0, ranges: 1, lists: 2 },
  keys: { count: 3, ranges: 4, lists: 5 },
  /** Position of the call's first query. */
  queryOffset: 6,
  words: 8,
} as const;

/** A plan on the device. */
export interface AttentionPlan {
  readonly words: Values;
  /** Where the masks begin. */
  readonly masks: number;
  /** Heads from one batch row to the next, and from one head to the next; 0 where they are alike. */
  readonly strides: readonly [batch: number, head: number];
  /** The most parts that a head has. */
  readonly parts: number;
  /** The most tiles that a range of queries has. */
  readonly longest: number;
  /** The most ranges that a part of a head has. */
  readonly ranges: { readonly queries: number; readonly keys: number };
  free(): void;
}

interface PlannedPart {
  readonly entry: readonly number[];
  /** How many masks there are with those of this part. */
  readonly masks: number;
  readonly ranges: { readonly queries: number; readonly keys: number };
  /** The most tiles that a range of queries has. */
  readonly longest: number;
  /** Whether a tile allows all its pairs. */
  readonly whole: boolean;
}

/** Puts the tiles of a part behind the words that there are, and gives its entry. */
function planPart(
  part: ExpressionPart,
  { row, head, shape }: { row: PatternRow; head: number; shape: MaskShape },
  words: number[],
  masked: MaskedTiles[],
  masks: number,
): PlannedPart {
  const { queryOffset, attributes } = row;
  const { heads, keyLength, queryRows } = shape;
  const call = { heads, head, queryLength: queryOffset + queryRows, keyLength, queryOffset, attributes };
  const [queries, keys]: [StridedRange[], StridedRange[]] = [[], []];
  /** Numbers of the ranges of a tile's queries and keys, and whether it has a mask. */
  const tiles: [query: number, key: number, hasMask: boolean][] = [];
  let [number, last]: [number, StridedRange | undefined] = [0, undefined];
  for (const tile of tilesOf(part.expression, call, { queries: TILE, keys: TILE }, part.modulus)) {
    if (tile.queries !== last) {
      last = tile.queries;
      number = 0;
      queries.push({ ...last, start: last.start - queryOffset });
    }
    if (queries.length === 1) keys.push(tile.keys);
    if (tile.status !== "none") tiles.push([queries.length - 1, number, tile.status === "some"]);
    number++;
  }
  const placeRanges = (list: readonly StridedRange[]): number => {
    const at = words.length;
    for (const { start, step, count } of list) words.push(start, step, count);
    return at;
  };
  const [queriesAt, keysAt] = [placeRanges(queries), placeRanges(keys)];
  const some = tiles.filter(([, , hasMask]) => hasMask);
  const numbers = tiles.map(([, , hasMask]) => (hasMask ? masks++ : NO_MASK));
  if (some.length > 0)
    masked.push({
      expression: part.expression,
      row,
      head,
      tiles: some.map(([query, key]) => ({
        queries: queries[query]!,
        keys: keys[key]!,
        addresses: [queriesAt + 3 * query, keysAt + 3 * key],
      })),
    });
  /** The tiles of each range of one side. */
  const listsOf = (count: number, own: 0 | 1, othersAt: number): number[][] => {
    const lists = Array.from({ length: count }, (): number[] => []);
    tiles.forEach((tile, i) => lists[tile[own]]!.push(othersAt + 3 * tile[own === 0 ? 1 : 0], numbers[i]!));
    return lists;
  };
  const placeLists = (lists: readonly number[][]): number => {
    const at = words.length;
    let next = at + lists.length + 1;
    words.push(next);
    for (const list of lists) words.push((next += list.length));
    for (const list of lists) for (const word of list) words.push(word);
    return at;
  };
  const ofQueries = listsOf(queries.length, 0, keysAt);
  const lists = [placeLists(ofQueries), placeLists(listsOf(keys.length, 1, queriesAt))] as const;
  return {
    entry: [queries.length, queriesAt, lists[0], keys.length, keysAt, lists[1], queryOffset, 0],
    masks,
    ranges: { queries: queries.length, keys: keys.length },
    longest: ofQueries.reduce((most, list) => Math.max(most, list.length / 2), 0),
    whole: some.length < tiles.length,
  };
}

/**
 * Plans a call. @param isFew Whether few queries of it count, as in decoding.
 * @throws HeddleError `invalid-argument` for a pattern that allows nothing as far as its tiles tell, or an attribute
 * that is missing.
 */
function planAttention(pattern: AttentionPattern, shape: MaskShape, isFew: boolean): AttentionPlan {
  const { queryRows, keyLength } = shape;
  const { batch, heads, rows } = resolvePattern(pattern, shape);
  const parts = rows.map((row) =>
    Array.from({ length: heads }, (_, head) => {
      const call = { heads: shape.heads, queryLength: row.queryOffset + queryRows, keyLength };
      return disjointParts(row.expression, call, head);
    }),
  );
  const most = Math.max(...parts.flat().map((list) => list.length));
  const words: number[] = Array.from({ length: batch * heads * most * ENTRY.words }, () => 0);
  const masked: MaskedTiles[] = [];
  let [masks, longest, whole] = [0, 0, false];
  const ranges = { queries: 0, keys: 0 };
  rows.forEach((row, b) =>
    parts[b]!.forEach((list, head) =>
      list.forEach((part, p) => {
        const planned = planPart(part, { row, head, shape }, words, masked, masks);
        const at = ((b * heads + head) * most + p) * ENTRY.words;
        planned.entry.forEach((word, i) => (words[at + i] = word));
        ({ masks } = planned);
        whole ||= planned.whole;
        longest = Math.max(longest, planned.longest);
        ranges.queries = Math.max(ranges.queries, planned.ranges.queries);
        ranges.keys = Math.max(ranges.keys, planned.ranges.keys);
      }),
    ),
  );
  // The masks are not read back: where no tile tells, the pattern is asked.
  checkAllowsSomething(pattern, shape, whole || (masks > 0 && allowsAnything(pattern, shape)));
  const makeMasks = placeMasks(isFew ? [] : masked, words, shape);
  const masksAt = words.length;
  const own = engine();
  const size = masksAt + masks * TILE;
  const values = new Int32Array(size);
  values.set(words);
  if (isFew)
    values.set(
      masked.flatMap((tiles) => maskWords(tiles, shape)),
      masksAt,
    );
  const data = { dataId: own.write(values, [size], "int32"), size };
  try {
    makeMasks(data, masksAt);
  } catch (error) {
    own.disposeData(data.dataId);
    throw error;
  }
  return {
    words: data,
    masks: masksAt,
    strides: [batch === 1 ? 0 : heads, heads === 1 ? 0 : 1],
    parts: most,
    longest,
    ranges,
    free: () => void own.disposeData(data.dataId),
  };
}

/** Plans kept, since the layers of a model and the steps of a run ask for the same few. */
const PLANS_KEPT = 16;

interface KeptPlan {
  readonly pattern: AttentionPattern;
  readonly shape: MaskShape;
  readonly plan: AttentionPlan;
}

/** Those of each engine. */
const kept = new WeakMap<Engine, RecentlyUsed<KeptPlan>>();

/** The plan of a call, made where it is not kept. */
export function planOf(pattern: AttentionPattern, shape: MaskShape, isFew = false): AttentionPlan {
  const own = engine();
  const plans = kept.get(own) ?? new RecentlyUsed<KeptPlan>(PLANS_KEPT, ({ plan }) => plan.free());
  kept.set(own, plans);
  const fits = (known: KeptPlan): boolean => known.pattern === pattern && sameMaskShape(known.shape, shape);
  const make = (): KeptPlan => ({
    pattern,
    shape: copyMaskShape(shape),
    plan: planAttention(pattern, shape, isFew),
  });
  return plans.get(fits, make).plan;
}

/** Whether a pattern says the same of a pair in a call of lengths that are greater than those of another. */
function isSameInLonger(pattern: AttentionPattern, longer: PatternShape): boolean {
  const { prefixStable, greatestLength = Infinity } = pattern;
  if (!prefixStable || Math.max(longer.queryLength, longer.keyLength) > greatestLength) return false;
  const { query, key } = reads(pattern.resolve(longer)).attributes;
  return query.size + key.size === 0;
}

/**
 * The plan of few queries, and the number of the first among its rows. Steps of decoding share one: it has all queries
 * of a tile and keys up to a whole tile, of which a program leaves out those that are not there yet.
 */
export function planOfFew(
  pattern: AttentionPattern,
  shape: MaskShape,
): { readonly plan: AttentionPlan; readonly firstRow: number } {
  const { heads, queryRows, keyLength, queryOffset = 0 } = shape;
  const [offset, ...others] = typeof queryOffset === "number" ? [queryOffset] : queryOffset;
  const firstRow = offset! % TILE;
  const upToTile = (length: number): number => Math.ceil(length / TILE) * TILE;
  const longer = {
    heads,
    queryOffset: offset! - firstRow,
    queryRows: upToTile(firstRow + queryRows),
    keyLength: upToTile(keyLength),
  };
  const queryLength = longer.queryOffset + longer.queryRows;
  const isShared =
    // The first tokens of all may not see nothing, and later ones may.
    longer.queryOffset > 0 &&
    others.every((other) => other === offset) &&
    isSameInLonger(pattern, { ...longer, queryLength });
  return isShared
    ? { plan: planOf(pattern, longer, true), firstRow }
    : { plan: planOf(pattern, shape, true), firstRow: 0 };
}
