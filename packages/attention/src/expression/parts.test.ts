import { randomExpression, tileCases } from "@heddle/conformance";
import { describe, expect, it } from "vitest";
import { causal } from "../patterns/causal.ts";
import { dilated } from "../patterns/dilated.ts";
import { globalTokens } from "../patterns/global-tokens.ts";
import { slidingWindow } from "../patterns/sliding-window.ts";
import { strided } from "../patterns/strided.ts";
import { evaluateBoolean } from "./evaluate.ts";
import { disjointParts } from "./parts.ts";
import { and, or } from "./pattern.ts";
import type { BooleanNode, PatternShape } from "./tree.ts";

const shape = { heads: 4, queryLength: 40, keyLength: 36 };

/** Counts pairs that are in more than one part, or in the parts and not in the expression, or the other way round. */
function faults(expression: BooleanNode, call: PatternShape, head?: number): number {
  const parts = disjointParts(expression, call, head);
  let wrong = 0;
  for (let at = head ?? 0; at <= (head ?? call.heads - 1); at++)
    for (let query = 0; query < call.queryLength; query++)
      for (let key = 0; key < call.keyLength; key++) {
        const attributes = {
          query: { document: query >> 3, global: query === 9 ? 1 : 0 },
          key: {
            document: key >> 3,
            global: key === 9 ? 1 : 0,
            prefix: key < 5 ? 1 : 0,
            keep: key < 30 ? 1 : 0,
          },
        };
        const pair = { ...call, head: at, query, key, attributes };
        const inParts = parts.filter((part) => evaluateBoolean(part.expression, pair)).length;
        if (inParts !== (evaluateBoolean(expression, pair) ? 1 : 0)) wrong++;
      }
  return wrong;
}

describe("disjointParts", () => {
  const moduli = (expression: BooleanNode, head?: number) =>
    disjointParts(expression, shape, head).map(({ modulus }) => modulus);

  it("splits a window from what is dense under a permutation", () => {
    expect(moduli(strided({ stride: 8 }).resolve(shape))).toEqual([1, 8]);
    const long = or(
      slidingWindow({ before: 4 }),
      dilated({ window: { before: 2 }, dilation: 4 }),
      dilated({ window: { before: 2 }, dilation: 9 }),
    );
    expect(moduli(long.resolve(shape))).toEqual([1, 4, 9]);
    const past = and(
      causal(),
      or(dilated({ window: { before: 2, after: 2 }, dilation: 5 }), globalTokens([0, 3])),
    );
    expect(moduli(past.resolve(shape))).toEqual([1, 5]);
  });

  it("splits by head, and needs no split for one head", () => {
    const perHead = dilated({ window: { before: 3 }, dilation: [1, 2, 4, 3] }).resolve(shape);
    expect(moduli(perHead)).toEqual([1, 2, 3, 4]);
    expect([0, 1, 2, 3].map((head) => moduli(perHead, head))).toEqual([[1], [2], [4], [3]]);
    // Parts of different heads do not meet, so none is taken from another.
    for (const { expression } of disjointParts(perHead, shape))
      expect(JSON.stringify(expression)).not.toContain('"not"');
  });

  it("leaves alone what is dense or cannot be split", () => {
    for (const pattern of [causal(), dilated({ window: { before: 3 }, dilation: 4 }), globalTokens([3])]) {
      const expression = pattern.resolve(shape);
      expect(disjointParts(expression, shape)[0]?.expression).toBe(expression);
      expect(disjointParts(expression, shape)).toHaveLength(1);
    }
  });

  it("is disjoint and whole for every named pattern, with all heads and with one", () => {
    for (const { name, pattern } of tileCases()) {
      const expression = pattern.resolve(shape);
      expect(faults(expression, shape), name).toBe(0);
      expect(faults(expression, shape, 1), `${name}, head 1`).toBe(0);
    }
  });

  it("is disjoint and whole for random joins of dilations, windows and random expressions", () => {
    const small = { heads: 2, queryLength: 14, keyLength: 16 };
    let split = 0;
    for (let index = 0; index < 150; index++) {
      const random = randomExpression({ seed: 9, index, length: 16, heads: 2, attributes: false });
      const step = 2 + (index % 4);
      const scattered = dilated({ window: { before: 3, after: 1 }, dilation: step }).resolve(small);
      const narrow: BooleanNode = { op: "and", operands: [scattered, random] };
      const joined: BooleanNode = { op: "or", operands: [random, narrow, scattered] };
      const expression: BooleanNode = index % 2 ? joined : { op: "and", operands: [joined, random] };
      if (disjointParts(expression, small).length > 1) split++;
      expect(faults(expression, small), `index ${index}`).toBe(0);
    }
    expect(split).toBeGreaterThan(20);
  });
});
