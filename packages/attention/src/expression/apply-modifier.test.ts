import { describe, expect, it } from "vitest";
import { randomModifier } from "@heddle/conformance";
import { randomStream } from "@heddle/core";
import { applyModifier } from "./apply-modifier.ts";
import { fromInteger, lookup, score, variables } from "./builders.ts";
import { evaluateNumber } from "./evaluate.ts";

const { query, key } = variables;
const row = (count: number, start = 0, step = 1) => ({ start, step, count });

describe("applyModifier", () => {
  it("agrees with evaluateNumber on 500 random modifiers and strided tiles", () => {
    const stream = randomStream({ seed: 51 });
    for (let index = 0; index < 500; index++) {
      const node = randomModifier({ seed: 52, index });
      const draw = (at: number, bound: number) => stream.integer(4096 * index + at, bound);
      const [queries, keys] = [
        row(1 + draw(0, 4), 6 + draw(1, 5), 1 + draw(2, 2)),
        row(1 + draw(3, 9), draw(4, 6), 1 + draw(5, 3)),
      ];
      const [queryOffset, head] = [draw(6, 6), draw(7, 3)];
      const uniform = (length: number, from: number) =>
        Float32Array.from({ length }, (_, at) => stream.uniform(4096 * index + from + at) * 4 - 2);
      const scores = uniform(queries.count * keys.count, 100);
      const bias = { values: uniform(20 * 20 + 2, 1000), offset: 2, length: 20, rowStride: 20 };
      const slope = { values: uniform(2, 3000), length: 2 };
      const shape = { head, queryLength: 24, keyLength: 24 };
      const found = applyModifier(node, scores, {
        ...shape,
        queries,
        keys,
        queryOffset,
        lookups: { bias, slope },
      });
      for (let i = 0; i < queries.count; i++)
        for (let j = 0; j < keys.count; j++) {
          const at = { query: queries.start + i * queries.step, key: keys.start + j * keys.step };
          const first = 2 + 20 * (at.query - queryOffset);
          const lookups = { bias: bias.values.subarray(first, first + 20), slope: slope.values };
          const truth = evaluateNumber(node, {
            ...shape,
            ...at,
            score: scores[i * keys.count + j]!,
            lookups,
          });
          const off = Math.abs(found[i * keys.count + j]! - truth) / Math.max(1, Math.abs(truth));
          expect(off, `modifier ${index}`).toBeLessThan(1e-5);
        }
    }
  });
  it("reads attributes of both sides", () => {
    const node = score.plus(fromInteger(query.attribute("a").times(10).plus(key.attribute("b")))).node;
    const attributes = { query: { a: Int32Array.of(1, 2) }, key: { b: Int32Array.of(3, 4, 5) } };
    const tile = {
      queries: row(2, 4),
      keys: row(2, 0, 2),
      queryLength: 6,
      keyLength: 3,
      queryOffset: 4,
      attributes,
    };
    expect([...applyModifier(node, new Float32Array([0.5, 0, 0, 0]), tile)]).toEqual([13.5, 15, 23, 25]);
  });
  it("refuses a tile of another size and a missing tensor", () => {
    const tile = { queries: row(2), keys: row(2), queryLength: 2, keyLength: 2 };
    expect(() => applyModifier(score.node, new Float32Array(3), tile)).toThrow(
      "applyModifier: scores must have 2 x 2 entries, got 3",
    );
    expect(() => applyModifier(lookup("t", 0).node, new Float32Array(4), tile)).toThrow(
      "lookups.t must be given, since the modifier reads it",
    );
  });
});
