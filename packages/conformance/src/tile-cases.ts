/** The named patterns on the calls that tile status is measured on. */
import {
  bigBird,
  blockTable,
  causal,
  dilated,
  disjointParts,
  documents,
  fillTable,
  fixed,
  full,
  globalTokens,
  padding,
  patternMask,
  prefix,
  slidingWindow,
  strided,
  tilesOf,
} from "@heddle/attention";
import { randomStream } from "@heddle/core";
import { emptyScore, scoreTiles } from "./tile-truth.ts";
import type { AttentionPattern, FrameAttributes, TileSize } from "@heddle/attention";
import type { TileScore } from "./tile-truth.ts";

/** Heads of every call. */
const heads = 4;

/** A call cut into tiles: the queries stand at queryOffset to queryOffset + rows - 1. */
export interface TileCall {
  readonly rows: number;
  readonly keys: number;
  readonly queryOffset: number;
  readonly size: TileSize;
}

/** Calls of a few hundred tiles: square and oblong tiles, tails, fewer queries than keys, an offset. */
export const tileCalls: readonly TileCall[] = [
  { rows: 256, keys: 256, queryOffset: 0, size: { queries: 16, keys: 16 } },
  { rows: 256, keys: 256, queryOffset: 0, size: { queries: 24, keys: 64 } },
  { rows: 250, keys: 230, queryOffset: 0, size: { queries: 64, keys: 32 } },
  { rows: 131, keys: 200, queryOffset: 69, size: { queries: 24, keys: 16 } },
];

/** A pattern whose tiles are measured. */
export interface TileCase {
  /** The pattern's name; the same for variants of one pattern. */
  readonly name: string;
  readonly pattern: AttentionPattern;
}

/** Every named pattern, some with several options; made for four heads. */
export function tileCases(): readonly TileCase[] {
  const stream = randomStream({ seed: 11, path: "tile-cases" });
  let drawn = 0;
  const table = fillTable({ heads, rows: 16, columns: 16 }, () => stream.integer(drawn++, 3) === 0);
  const blocks = { block: 16, window: 3, global: 1, random: 2, seed: 3 };
  const patterns: readonly AttentionPattern[] = [
    full(),
    causal(),
    prefix({ length: 37 }),
    prefix({ attribute: "prefix" }),
    slidingWindow({ before: 40 }),
    slidingWindow({ before: 12, after: 9 }),
    slidingWindow({ before: 100, after: 100 }),
    dilated({ window: { before: 8 }, dilation: 4 }),
    dilated({ window: { before: 7, after: 3 }, dilation: [1, 2, 3, 8] }),
    globalTokens([0, 1, 2]),
    globalTokens([0, 50, 51, 52, 130]),
    globalTokens({ attribute: "global" }),
    strided({ stride: 16 }),
    strided({ stride: 12, direction: "both" }),
    strided({ stride: 16, heads: ["local", "strided", "local", "strided"] }),
    fixed({ stride: 16, summary: 4 }),
    fixed({ stride: 24, summary: 3, direction: "both" }),
    blockTable({ block: 16, table }),
    bigBird(blocks),
    bigBird({ ...blocks, direction: "past" }),
    documents(),
    padding(),
  ];
  return patterns.map((pattern) => ({ name: pattern.name, pattern }));
}

/** Attributes of one batch row: documents one after the other, a few global tokens, a prefix, padding at the end. */
export function tileAttributes({ rows, keys, queryOffset }: TileCall): FrameAttributes {
  const stream = randomStream({ seed: 12, path: "tile-attributes" });
  const length = Math.max(queryOffset + rows, keys);
  const document = new Int32Array(length);
  const global = new Int32Array(length);
  for (let at = 0; at < length; at++) {
    document[at] = (document[at - 1] ?? 0) + (stream.integer(2 * at, 40) === 0 ? 1 : 0);
    global[at] = stream.integer(2 * at + 1, 60) === 0 ? 1 : 0;
  }
  const prefixed = Int32Array.from(global, (_, at) => (at < 45 ? 1 : 0));
  const keep = Int32Array.from(global, (_, at) => (at < length - 60 ? 1 : 0));
  const all = { document, global, prefix: prefixed, keep };
  const cut = (from: number, to: number): Record<string, Int32Array> =>
    Object.fromEntries(Object.entries(all).map(([name, values]) => [name, values.slice(from, to)]));
  return { query: cut(queryOffset, queryOffset + rows), key: cut(0, keys) };
}

/** Scores of one pattern: in order, and as disjoint parts under their permutations. */
export interface PatternScore {
  readonly ordered: TileScore;
  readonly permuted: TileScore;
  /** Moduli above 1 that the parts have, over all heads and calls. */
  readonly moduli: ReadonlySet<number>;
}

/** Tiles a pattern on calls, all heads, and counts every pair of every tile. */
export function scorePattern(
  pattern: AttentionPattern,
  calls: readonly TileCall[] = tileCalls,
): PatternScore {
  const [ordered, permuted, moduli] = [emptyScore(), emptyScore(), new Set<number>()];
  for (const call of calls) {
    const { rows, keys, queryOffset, size } = call;
    const shape = { heads, queryLength: queryOffset + rows, keyLength: keys };
    const attributes = tileAttributes(call);
    const expression = pattern.resolve(shape);
    const truth = maskOf(pattern, call, attributes);
    for (let head = 0; head < heads; head++) {
      const tiled = { ...shape, head, queryOffset, attributes };
      scoreTiles(tilesOf(expression, tiled, size), truth(head), ordered);
      for (const part of disjointParts(expression, shape, head)) {
        if (part.modulus === 1) continue;
        moduli.add(part.modulus);
        const partTruth = maskOf({ ...pattern, resolve: () => part.expression }, call, attributes);
        scoreTiles(tilesOf(part.expression, tiled, size, part.modulus), partTruth(head), permuted);
      }
    }
  }
  return { ordered, permuted, moduli };
}

type Truth = (query: number, key: number) => boolean;

function maskOf(
  pattern: AttentionPattern,
  call: TileCall,
  attributes: FrameAttributes,
): (head: number) => Truth {
  const { rows, keys, queryOffset } = call;
  const mask = patternMask(pattern, { heads, queryRows: rows, keyLength: keys, queryOffset, attributes });
  return (head) => {
    const first = mask.heads === 1 ? 0 : head * rows;
    return (query, key) => mask.bits[(first + query - queryOffset) * keys + key] === 1;
  };
}
