import {
  decidedShare,
  emptyScore,
  randomExpression,
  scorePattern,
  scoreRandomTiles,
  scoreTiles,
  tileCalls,
  tileCases,
} from "@heddle/conformance";
import { describe, expect, it } from "vitest";
import { causal } from "../patterns/causal.ts";
import { documents } from "../patterns/documents.ts";
import { globalTokens } from "../patterns/global-tokens.ts";
import { slidingWindow } from "../patterns/sliding-window.ts";
import { lookupTable, variables } from "./builders.ts";
import { evaluateBoolean } from "./evaluate.ts";
import { and, not, or } from "./pattern.ts";
import { tableFromPicture } from "./table.ts";
import { compileTileStatus, tileStatus } from "./tile-status.ts";
import type { BooleanExpression } from "./builders.ts";
import type { StridedRange, TileContext } from "./tile-range.ts";

const { query, key, head, queryLength, keyLength } = variables;
const context: TileContext = { head: 0, queryLength: 64, keyLength: 64 };

function range(start: number, count: number, step = 1): StridedRange {
  return { start, step, count };
}

function status(
  of: BooleanExpression,
  queries: StridedRange,
  keys: StridedRange,
  more: Partial<TileContext> = {},
) {
  return tileStatus(of.node, queries, keys, { ...context, ...more });
}

describe("tileStatus", () => {
  it("keeps query - key exact", () => {
    const window = query.minus(key).between(0, 7);
    expect(status(window, range(8, 4), range(5, 4))).toBe("all");
    expect(status(window, range(8, 5), range(5, 4))).toBe("all");
    expect(status(window, range(8, 6), range(5, 4))).toBe("some");
    expect(status(window, range(0, 4), range(4, 4))).toBe("none");
  });

  it("joins conditions on one number: between two bounds there is no multiple of 8", () => {
    const every = query.minus(key).modulo(8).equals(0);
    const narrow = every.and(query.minus(key).between(1, 6));
    expect(status(narrow, range(0, 64), range(0, 64))).toBe("none");
    const joined = query.isLess(10).or(query.isAtLeast(10));
    expect(status(joined, range(0, 64), range(0, 64))).toBe("all");
  });

  it("decides strided tiles by congruence", () => {
    const every = query.minus(key).modulo(4).equals(1);
    expect(status(every, range(1, 8, 4), range(0, 8, 4))).toBe("all");
    expect(status(every, range(2, 8, 4), range(0, 8, 4))).toBe("none");
    expect(status(every, range(1, 8, 2), range(0, 8, 4))).toBe("some");
  });

  it("decides by what all terms leave modulo a number, whatever an attribute is", () => {
    const even = query.times(2).plus(key.times(6)).plus(key.attribute("a").times(4));
    expect(status(even.equals(1), range(0, 64), range(0, 64))).toBe("none");
    expect(status(even.equals(2), range(0, 64), range(0, 64))).toBe("some");
    const quarter = query.plus(key.attribute("a").times(4));
    expect(status(quarter.equals(2), range(1, 16, 4), range(0, 64))).toBe("none");
    expect(status(quarter.equals(2), range(2, 15, 4), range(0, 64))).toBe("some");
  });

  it("decides tiles whose conditions meet only in a corner", () => {
    // Queries above 10, keys below 5, on or above the diagonal: none.
    const apart = query.isGreater(10).and(key.isLess(5), query.isAtMost(key));
    expect(status(apart, range(0, 16), range(0, 16))).toBe("none");
    const covered = query.isAtLeast(key).or(key.isAtLeast(3), query.isLess(3));
    expect(status(covered, range(0, 16), range(0, 16))).toBe("all");
  });

  it("is sound along directions too steep to tabulate", () => {
    const call = { head: 0, queryLength: 500, keyLength: 500 };
    const steep = query.times(3000).minus(key);
    const rule = steep.between(290_000, 700_001).or(steep.modulo(8).equals(3)).node;
    const tiles = [0, 96, 98, 224, 240, 480].flatMap((first) =>
      [range(0, 16), range(3, 16, 8), range(5, 8, 8), range(484, 16)].map((keys) => {
        const queries = range(first, 8);
        return { queries, keys, status: tileStatus(rule, queries, keys, call) };
      }),
    );
    const score = scoreTiles(tiles, (q, k) => evaluateBoolean(rule, { ...call, query: q, key: k }));
    expect(score.unsound).toBe(0);
    expect([score.decidable, score.decided]).toEqual([15, 15]);
  });

  it("reads tables by rectangle, false outside them", () => {
    const table = tableFromPicture("table", ["##.", "##.", "..#"]);
    const blocks = lookupTable(table, { row: query.dividedBy(4), column: key.dividedBy(4) });
    expect(status(blocks, range(0, 8), range(0, 8))).toBe("all");
    expect(status(blocks, range(0, 8), range(8, 4))).toBe("none");
    expect(status(blocks, range(4, 8), range(4, 8))).toBe("some");
    expect(status(blocks, range(8, 4), range(8, 5))).toBe("some");
    expect(status(blocks, range(12, 4), range(0, 4))).toBe("none");
  });

  it("follows head and lengths", () => {
    const perHead = head.equals(1).and(query.isLess(queryLength.minus(keyLength)));
    expect(status(perHead, range(0, 4), range(0, 4), { head: 0 })).toBe("none");
    expect(status(perHead, range(0, 4), range(0, 4), { head: 1, queryLength: 8, keyLength: 4 })).toBe("all");
    expect(status(perHead, range(0, 4), range(0, 4), { head: 1, queryLength: 6, keyLength: 4 })).toBe("some");
  });

  it("takes attributes by their range in the tile", () => {
    const rule = documents().resolve({ heads: 1, queryLength: 64, keyLength: 64 });
    const at = (low: number, high: number) => ({ document: { minimum: low, maximum: high } });
    const tile = (q: [number, number], k: [number, number]) =>
      tileStatus(rule, range(0, 8), range(0, 8), {
        ...context,
        attributes: { query: at(...q), key: at(...k) },
      });
    expect(tile([2, 2], [2, 2])).toBe("all");
    expect(tile([0, 1], [2, 3])).toBe("none");
    expect(tile([0, 2], [2, 3])).toBe("some");
    expect(tileStatus(rule, range(0, 8), range(0, 8), context)).toBe("some");
  });

  it("looks at the values of attributes where ranges leave a tile open", () => {
    const rule = query.attribute("a").equals(key.attribute("a")).and(query.isLess(key));
    const values = Int32Array.from({ length: 64 }, (_, at) => at);
    const known = { a: { minimum: 0, maximum: 7, values: { values, offset: 0 } } };
    const ranges = { a: { minimum: 0, maximum: 7 } };
    const of = (side: typeof known | typeof ranges) =>
      status(rule, range(0, 8), range(0, 8), { attributes: { query: side, key: side } });
    expect(of(known)).toBe("none");
    expect(of(ranges)).toBe("some");
  });

  it("rejects ranges that are empty or reach beyond the call", () => {
    const of = compileTileStatus(causal().resolve({ heads: 1, queryLength: 8, keyLength: 8 }));
    const call = { head: 0, queryLength: 8, keyLength: 8 };
    expect(() => of(range(0, 0), range(0, 8), call)).toThrow(
      "tileStatus: queries.count must be an integer >= 1, got 0",
    );
    expect(() => of(range(0, 8), range(4, 8), call)).toThrow(
      "tileStatus: keys must end before position 8, got",
    );
    expect(() => of(range(0, 8), range(0, 2, 0.5), call)).toThrow(
      "keys.step must be an integer >= 1, got 0.5",
    );
    expect(() => of(range(0, 8), range(0, 8), { ...call, head: -1 })).toThrow(
      "head must be an integer >= 0, got -1",
    );
  });
});

describe("named patterns", () => {
  it.each(
    tileCases().map(({ name, pattern }) => [
      `${name} ${JSON.stringify(pattern.options).slice(0, 60)}`,
      pattern,
    ]),
  )("%s: sound, 99 % decided", (_, pattern) => {
    const { ordered, permuted } = scorePattern(pattern);
    expect([ordered.unsound, permuted.unsound]).toEqual([0, 0]);
    expect(decidedShare(ordered)).toBeGreaterThanOrEqual(0.99);
    expect(decidedShare(permuted)).toBeGreaterThanOrEqual(0.99);
    expect(ordered.decidable).toBeGreaterThan(0);
  });

  it("dilated and strided are dense under their permutation", () => {
    const scores = tileCases()
      .filter(({ name }) => name === "dilated" || name === "strided")
      .map(({ pattern }) => scorePattern(pattern));
    expect(scores.map(({ moduli }) => [...moduli])).toEqual([[4], [2, 3, 8], [16], [12], [16]]);
    for (const { permuted } of scores) expect(permuted.decidable / permuted.tiles).toBeGreaterThan(0.8);
  });

  it("or(slidingWindow, globalTokens) and and(causal, ...) are decided", () => {
    const joined = [
      or(slidingWindow({ before: 20, after: 20 }), globalTokens([0, 1, 2, 3, 4, 5, 6, 7])),
      ...tileCases().map(({ pattern }) => and(causal(), pattern)),
    ];
    for (const pattern of joined) {
      const { ordered } = scorePattern(pattern, tileCalls.slice(0, 2));
      expect(ordered.unsound).toBe(0);
      expect(decidedShare(ordered)).toBeGreaterThanOrEqual(0.99);
    }
  });

  it("pairs joined by and, or and not are sound", () => {
    const cases = tileCases();
    const score = emptyScore();
    for (const [at, { pattern }] of cases.entries()) {
      const other = cases[(at * 5 + 3) % cases.length]!.pattern;
      for (const joined of [and(pattern, other), or(pattern, not(other))]) {
        const { ordered } = scorePattern(joined, tileCalls.slice(3));
        score.unsound += ordered.unsound;
        score.decidable += ordered.decidable;
        score.decided += ordered.decided;
      }
    }
    expect(score.unsound).toBe(0);
    expect(decidedShare(score)).toBeGreaterThanOrEqual(0.99);
  });
});

describe("random expressions", () => {
  it("2,000 to depth 4: never unsound", () => {
    const total = emptyScore();
    for (let index = 0; index < 2000; index++) {
      const score = scoreRandomTiles(randomExpression({ seed: 1, index }), { seed: 2, index });
      expect(score.unsound, `seed 1, index ${index}`).toBe(0);
      total.decidable += score.decidable;
      total.decided += score.decided;
    }
    expect(decidedShare(total)).toBeGreaterThanOrEqual(0.99);
  });

  it("decides every tile with a single pair", () => {
    const score = emptyScore();
    for (let index = 0; index < 300; index++) {
      const expression = randomExpression({ seed: 6, index, attributes: false });
      const at = { query: (index * 7) % 64, key: (index * 13) % 64 };
      const tile = { queries: range(at.query, 1), keys: range(at.key, 1) };
      const found = tileStatus(expression, tile.queries, tile.keys, { ...context, head: index % 4 });
      const truth = () =>
        evaluateBoolean(expression, { head: index % 4, queryLength: 64, keyLength: 64, ...at });
      scoreTiles([{ ...tile, status: found }], truth, score);
    }
    expect(score).toEqual({ tiles: 300, unsound: 0, decidable: 300, decided: 300 });
  });
});
