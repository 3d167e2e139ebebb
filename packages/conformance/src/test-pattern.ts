/** The laws that every attention pattern keeps. Call it inside a `describe` of vitest. */
import {
  allows,
  booleanFromJSON,
  cacheKey,
  draw,
  emitMask,
  expressionToJSON,
  patternFromJSON,
  patternMask,
  patternToJSON,
  reads,
  standardPatterns,
  tilesOf,
} from "@heddle/attention";
import type {
  AttentionPattern,
  AttributeSide,
  FrameAttributes,
  PatternFactories,
  TokenAttributes,
} from "@heddle/attention";
import { randomStream } from "@heddle/core";
import { expect, it } from "vitest";
import { scoreTiles } from "./tile-truth.ts";
import { startWasmTile } from "./wasm-tile.ts";

export interface TestPatternOptions {
  /** Number of heads: where the pattern is made for some, theirs. @default 3 */
  readonly heads?: number;
  /** Makes the pattern from its JSON. @default Heddle's own patterns */
  readonly factories?: PatternFactories;
  /** Seed of the token attributes. @default 1 */
  readonly seed?: number;
}

interface Call {
  readonly rows: number;
  readonly keys: number;
  readonly queryOffset: number;
}

/** One token; a tail; more keys than queries, as when decoding; fewer; a length above the word of a wasm mask. */
const calls: readonly Call[] = [
  { rows: 1, keys: 1, queryOffset: 0 },
  { rows: 17, keys: 17, queryOffset: 0 },
  { rows: 5, keys: 21, queryOffset: 16 },
  { rows: 20, keys: 9, queryOffset: 0 },
  { rows: 12, keys: 70, queryOffset: 40 },
];

/** Registers the tests of one pattern. */
export function testPattern(pattern: AttentionPattern, options: TestPatternOptions = {}): void {
  const { heads = 3, factories = standardPatterns, seed = 1 } = options;
  const label = JSON.stringify(patternToJSON(pattern)).slice(0, 80);
  const shapeOf = ({ rows, keys, queryOffset }: Call) => ({
    heads,
    queryLength: queryOffset + rows,
    keyLength: keys,
  });

  it(`is the same by mask as by allows: ${label}`, () => {
    for (const call of calls) {
      const given = attributesOf(pattern, heads, call, { batch: 2, seed });
      const mask = patternMask(pattern, {
        ...call,
        heads,
        queryRows: call.rows,
        keyLength: call.keys,
        attributes: given,
      });
      for (let batch = 0; batch < mask.batch; batch++)
        for (let head = 0; head < heads; head++) {
          const start = (batch * mask.heads + Math.min(head, mask.heads - 1)) * call.rows * call.keys;
          const found = [...mask.bits.subarray(start, start + call.rows * call.keys)];
          expect(found, JSON.stringify({ call, head })).toEqual(
            truth(pattern, heads, head, call, part(given, call, batch)),
          );
        }
    }
  });

  it(`is the same by its emitted wasm module: ${label}`, () => {
    for (const call of calls) {
      const node = pattern.resolve(shapeOf(call));
      const wasm = startWasmTile(emitMask(node));
      const attributes = part(attributesOf(pattern, heads, call, { batch: 1, seed }), call, 0);
      for (let head = 0; head < heads; head++) {
        const found = wasm.mask({
          ...shapeOf(call),
          head,
          queryOffset: call.queryOffset,
          queries: { start: call.queryOffset, step: 1, count: call.rows },
          keys: { start: 0, step: 1, count: call.keys },
          attributes,
        });
        expect([...found.bits], JSON.stringify({ call, head })).toEqual(
          truth(pattern, heads, head, call, attributes),
        );
      }
    }
  });

  it(`survives JSON, as a pattern and as an expression: ${label}`, () => {
    const again = patternFromJSON(JSON.parse(JSON.stringify(patternToJSON(pattern))), factories);
    expect(patternToJSON(again)).toEqual(patternToJSON(pattern));
    expect(again.prefixStable).toBe(pattern.prefixStable);
    for (const call of calls) {
      const node = pattern.resolve(shapeOf(call));
      expect(cacheKey(again.resolve(shapeOf(call)))).toBe(cacheKey(node));
      expect(cacheKey(booleanFromJSON(JSON.parse(JSON.stringify(expressionToJSON(node)))))).toBe(
        cacheKey(node),
      );
    }
  });

  it(`is drawn as it is and resolved once a shape: ${label}`, () => {
    const call = { rows: 9, keys: 14, queryOffset: 0 };
    const attributes = attributesOf(pattern, heads, call, { batch: 1, seed });
    const picture = draw(pattern, { queryLength: 9, keyLength: 14, head: heads - 1, heads, attributes });
    const bits = truth(pattern, heads, heads - 1, call, part(attributes, call, 0));
    expect(picture.join("")).toBe(bits.map((bit) => (bit ? "#" : ".")).join(""));
    expect(pattern.resolve(shapeOf(call))).toBe(pattern.resolve(shapeOf(call)));
  });

  if (pattern.prefixStable)
    it(`keeps what it says about lengths: ${label}`, () => {
      const long = { rows: 40, keys: 40, queryOffset: 0 };
      for (const length of [1, 6, 23, 39]) {
        const call = { rows: length, keys: length, queryOffset: 0 };
        for (let head = 0; head < heads; head++) {
          const at = (of: Call) =>
            truth(
              pattern,
              heads,
              head,
              of,
              part(attributesOf(pattern, heads, of, { batch: 1, seed }), of, 0),
            );
          const all = at(long);
          const corner = Array.from({ length }, (_, row) => all.slice(row * 40, row * 40 + length)).flat();
          expect(at(call), `length ${length} within 40`).toEqual(corner);
        }
      }
    });

  it(`has no tile called none or all that is not: ${label}`, () => {
    for (const call of calls) {
      const attributes = part(attributesOf(pattern, heads, call, { batch: 1, seed }), call, 0);
      for (let head = 0; head < heads; head++) {
        const bits = truth(pattern, heads, head, call, attributes);
        const tiles = tilesOf(
          pattern.resolve(shapeOf(call)),
          { ...shapeOf(call), head, queryOffset: call.queryOffset, attributes },
          { queries: 4, keys: 8 },
        );
        const allowed = (query: number, key: number) =>
          bits[(query - call.queryOffset) * call.keys + key] === 1;
        expect(scoreTiles(tiles, allowed).unsound, JSON.stringify({ call, head })).toBe(0);
      }
    }
  });
}

/** The answers of `allows` for one head: [rows, keys] of 0 and 1. */
function truth(
  pattern: AttentionPattern,
  heads: number,
  head: number,
  { rows, keys, queryOffset }: Call,
  attributes: FrameAttributes,
): number[] {
  const token = (side: AttributeSide, at: number) =>
    Object.fromEntries(Object.entries(attributes[side]).map(([name, values]) => [name, values[at]!]));
  const sides = {
    query: Array.from({ length: rows }, (_, row) => token("query", row)),
    key: Array.from({ length: keys }, (_, key) => token("key", key)),
  };
  const bits: number[] = [];
  for (let row = 0; row < rows; row++)
    for (let key = 0; key < keys; key++) {
      const pair = { query: sides.query[row]!, key: sides.key[key]! };
      const context = {
        query: row + queryOffset,
        key,
        head,
        heads,
        queryLength: queryOffset + rows,
        keyLength: keys,
      };
      bits.push(allows(pattern, { ...context, attributes: pair }) ? 1 : 0);
    }
  return bits;
}

/** Small integers for what the pattern reads, the same for a position whatever the length; half of them 0 and 1. */
function attributesOf(
  pattern: AttentionPattern,
  heads: number,
  { rows, keys, queryOffset }: Call,
  { batch, seed }: { batch: number; seed: number },
): TokenAttributes {
  const { attributes } = reads(pattern.resolve({ heads, queryLength: queryOffset + rows, keyLength: keys }));
  const make = (side: AttributeSide, length: number, first: number) =>
    Object.fromEntries(
      [...attributes[side]].map((name) => {
        const stream = randomStream({ seed, path: `attribute/${name}` });
        const value = (at: number) => {
          const position = 4096 * Math.floor(at / length) + first + (at % length);
          return stream.integer(position, 2) === 0
            ? stream.integer(8192 * 8 + position, 2)
            : (position >> 2) % 5;
        };
        return [name, Int32Array.from({ length: batch * length }, (_, at) => value(at))];
      }),
    );
  return { batch, query: make("query", rows, queryOffset), key: make("key", keys, 0) };
}

/** The attributes of one batch row. */
function part(attributes: TokenAttributes, { rows, keys }: Call, batch: number): FrameAttributes {
  const cut = (given: TokenAttributes["query"], length: number) =>
    Object.fromEntries(
      Object.entries(given ?? {}).map(([name, values]) => [
        name,
        values.slice(batch * length, (batch + 1) * length),
      ]),
    );
  return { query: cut(attributes.query, rows), key: cut(attributes.key, keys) };
}
