import { describe, expect, it } from "vitest";
import { bigBird } from "../patterns/big-bird.ts";
import { causal } from "../patterns/causal.ts";
import { documents } from "../patterns/documents.ts";
import { fixed } from "../patterns/fixed.ts";
import { variables } from "./builders.ts";
import { preferredBlock } from "./tile-block.ts";
import { tilesOf } from "./tile-grid.ts";
import type { TiledCall } from "./tile-grid.ts";

const shape = { heads: 1, queryLength: 37, keyLength: 29 };
const expression = causal().resolve(shape);

describe("tilesOf", () => {
  it("gives every pair exactly once, whatever the size, the modulus and the offset", () => {
    const calls: readonly [TiledCall, { queries: number; keys: number }, number][] = [
      [shape, { queries: 8, keys: 8 }, 1],
      [{ ...shape, queryOffset: 11 }, { queries: 5, keys: 64 }, 1],
      [{ ...shape, queryOffset: 36 }, { queries: 24, keys: 7 }, 1],
      [shape, { queries: 4, keys: 3 }, 6],
      [{ ...shape, queryOffset: 11 }, { queries: 24, keys: 64 }, 4],
      [{ ...shape, queryOffset: 35 }, { queries: 24, keys: 64 }, 5],
      [shape, { queries: 1, keys: 1 }, 100],
    ];
    for (const [call, size, modulus] of calls) {
      const seen = new Map<string, number>();
      for (const { queries, keys } of tilesOf(expression, call, size, modulus)) {
        expect(queries.count).toBeLessThanOrEqual(size.queries);
        expect(keys.count).toBeLessThanOrEqual(size.keys);
        for (let i = 0; i < queries.count; i++)
          for (let j = 0; j < keys.count; j++) {
            const pair = `${queries.start + queries.step * i},${keys.start + keys.step * j}`;
            seen.set(pair, (seen.get(pair) ?? 0) + 1);
          }
      }
      const offset = call.queryOffset ?? 0;
      expect(seen.size).toBe((call.queryLength - offset) * call.keyLength);
      expect(Math.max(...seen.values())).toBe(1);
      expect(seen.has(`${offset},0`) && seen.has(`${call.queryLength - 1},${call.keyLength - 1}`)).toBe(true);
    }
  });

  it("gives nothing for no rows", () => {
    expect([...tilesOf(expression, { ...shape, queryOffset: 37 }, { queries: 8, keys: 8 })]).toEqual([]);
  });

  it("cuts query tiles at blocks", () => {
    const starts = (block: number, queries: number, queryOffset = 0) => {
      const long = { heads: 1, queryLength: 96, keyLength: 8, queryOffset };
      const rule = fixed({ stride: block, summary: 1 }).resolve(long);
      return [...tilesOf(rule, long, { queries, keys: 8 })].map((tile) => tile.queries.start);
    };
    expect(starts(16, 24)).toEqual([0, 16, 32, 48, 64, 80]);
    expect(starts(8, 24)).toEqual([0, 24, 48, 72]);
    expect(starts(32, 24)).toEqual([0, 24, 32, 56, 64, 88]);
    expect(starts(16, 32, 40)).toEqual([40, 64]);
  });

  it("takes the attributes of each tile's tokens, of queries by row", () => {
    const call = { heads: 1, queryLength: 8, keyLength: 8, queryOffset: 4 };
    const document = Int32Array.from([0, 0, 0, 0, 1, 1, 2, 2]);
    const attributes = { query: { document: document.slice(4) }, key: { document } };
    const tiles = tilesOf(documents().resolve(call), { ...call, attributes }, { queries: 2, keys: 2 });
    const rows = ["none", "none", "all", "none", "none", "none", "none", "all"];
    expect([...tiles].map(({ status }) => status)).toEqual(rows);
  });

  it("rejects a tile without queries", () => {
    expect(() => [...tilesOf(expression, shape, { queries: 0, keys: 8 })]).toThrow(
      "tilesOf: queries must be an integer >= 1, got 0",
    );
    expect(() => [...tilesOf(expression, shape, { queries: 8, keys: 8 }, 0)]).toThrow(
      "tilesOf: modulus must be an integer >= 1, got 0",
    );
  });
});

describe("preferredBlock", () => {
  it("is what queries are divided by", () => {
    const blocks = bigBird({ block: 64, window: 3, global: 1, random: 1, seed: 1 });
    expect(preferredBlock(blocks.resolve({ heads: 1, queryLength: 256, keyLength: 256 }))).toBe(64);
    const { query, key } = variables;
    expect(
      preferredBlock(query.dividedBy(12).equals(key.dividedBy(5)).and(query.dividedBy(8).equals(0)).node),
    ).toBe(4);
    expect(preferredBlock(key.dividedBy(5).equals(2).node)).toBe(1);
    expect(preferredBlock(expression)).toBe(1);
  });
});
