import { describe, expect, it } from "vitest";
import { causal } from "../patterns/causal.ts";
import { dilated } from "../patterns/dilated.ts";
import { globalTokens } from "../patterns/global-tokens.ts";
import { slidingWindow } from "../patterns/sliding-window.ts";
import { strided } from "../patterns/strided.ts";
import { literal, lookupTable, variables } from "./builders.ts";
import { evaluateBoolean } from "./evaluate.ts";
import { and, or } from "./pattern.ts";
import { congruenceOf, densePermutation } from "./permutation.ts";
import { tableFromPicture } from "./table.ts";
import { randomExpression } from "@heddle/conformance";
import type { BooleanExpression } from "./builders.ts";
import type { AttentionPattern } from "./tree.ts";

const { query, key, head } = variables;
const shape = { heads: 3, queryLength: 48, keyLength: 40 };

function of(pattern: AttentionPattern, at?: number) {
  return densePermutation(pattern.resolve(shape), shape, at);
}

function congruence(expression: BooleanExpression) {
  return congruenceOf(expression.node, shape);
}

describe("densePermutation", () => {
  it("finds the dilation, for each head and for all of them", () => {
    const one = dilated({ window: { before: 3 }, dilation: 6 });
    expect(of(one)).toEqual({ modulus: 6 });
    const perHead = dilated({ window: { before: 3, after: 1 }, dilation: [4, 6, 1] });
    expect([0, 1, 2].map((at) => of(perHead, at))).toEqual([{ modulus: 4 }, { modulus: 6 }, null]);
    expect(of(perHead)).toBeNull();
    expect(of(dilated({ window: { before: 3 }, dilation: [4, 6, 8] }))).toEqual({ modulus: 2 });
  });

  it("holds under and, and under or as far as its parts agree", () => {
    expect(of(and(causal(), dilated({ window: { before: 3 }, dilation: 6 })))).toEqual({ modulus: 6 });
    expect(of(strided({ stride: 8 }))).toBeNull();
    expect(of(strided({ stride: 8, heads: ["strided", "strided", "strided"] }))).toEqual({ modulus: 8 });
    expect(of(or(dilated({ window: { before: 3 }, dilation: 6 }), globalTokens([0])))).toBeNull();
  });

  it("is none where it would leave fewer than two keys a group", () => {
    expect(of(dilated({ window: { before: 3 }, dilation: 20 }))).toEqual({ modulus: 20 });
    expect(of(dilated({ window: { before: 1 }, dilation: 21 }))).toBeNull();
    expect(of(slidingWindow({ before: 0 }))).toBeNull();
  });
});

describe("congruenceOf", () => {
  it("reads remainders of both sides", () => {
    expect(congruence(query.modulo(6).equals(key.modulo(6)))).toEqual({ modulus: 6, residue: 0 });
    expect(congruence(query.plus(2).modulo(6).equals(key.modulo(6)))).toEqual({ modulus: 6, residue: 4 });
    expect(congruence(query.modulo(6).equals(key.modulo(9)))).toEqual({ modulus: 3, residue: 0 });
    expect(congruence(query.minus(key).equals(key.dividedBy(2).times(5)))).toEqual({
      modulus: 5,
      residue: 0,
    });
    expect(congruence(query.times(3).equals(key.times(3).plus(1)))).toBeNull();
  });

  it("joins by and and or", () => {
    const modulo = (divisor: number, rest: number) => query.minus(key).modulo(divisor).equals(rest);
    const sides = (divisor: number) => query.modulo(divisor).equals(key.modulo(divisor));
    expect(congruence(modulo(4, 1).and(sides(6)))).toBeNull();
    expect(congruence(modulo(4, 2).and(sides(6)))).toEqual({ modulus: 12, residue: 6 });
    expect(congruence(modulo(4, 2).or(sides(6)))).toEqual({ modulus: 2, residue: 0 });
    expect(congruence(literal(false).or(modulo(4, 3)))).toEqual({ modulus: 4, residue: 3 });
    expect(congruence(query.equals(key.plus(5)))).toEqual({ modulus: 0, residue: 5 });
    expect(congruence(literal(true))).toEqual({ modulus: 1, residue: 0 });
  });

  it("solves congruences of great moduli at once", () => {
    const [wide, start] = [2 ** 30, performance.now()];
    expect(
      congruence(
        query
          .modulo(wide)
          .minus(key.modulo(wide))
          .equals(wide - 1),
      ),
    ).toEqual({
      modulus: wide,
      residue: wide - 1,
    });
    const prime = 2 ** 20 - 3;
    const scaled = query.times(5).modulo(prime).minus(key.times(5).modulo(prime)).equals(3);
    const { modulus, residue } = congruence(scaled)!;
    expect([modulus, (5 * residue) % prime]).toEqual([prime, 3]);
    expect(performance.now() - start).toBeLessThan(1000);
  });

  it("reads tables of query - key, per head", () => {
    const table = tableFromPicture("table", [["#..#"], ["#..."], [".#.#"]]);
    const rule = lookupTable(table, { row: 0, column: query.minus(key) }).node;
    const found = [0, 1, 2].map((at) => congruenceOf(rule, shape, at));
    expect(found).toEqual([
      { modulus: 3, residue: 0 },
      { modulus: 0, residue: 0 },
      { modulus: 2, residue: 1 },
    ]);
    expect(congruence(head.equals(2).and(lookupTable(table, { row: 0, column: query.minus(key) })))).toEqual(
      found[2],
    );
  });

  it("holds for every allowed pair of 400 random expressions", () => {
    const small = { heads: 2, queryLength: 12, keyLength: 10 };
    let some = 0;
    for (let index = 0; index < 400; index++) {
      const expression = randomExpression({ seed: 8, index, length: 16, heads: 2, attributes: false });
      const found = congruenceOf(expression, small);
      if (found?.modulus !== 1) some++;
      for (let at = 0; at < 2; at++)
        for (let q = 0; q < small.queryLength; q++)
          for (let k = 0; k < small.keyLength; k++) {
            if (!evaluateBoolean(expression, { ...small, query: q, key: k, head: at })) continue;
            expect(found, `index ${index}`).not.toBeNull();
            const apart = q - k - (found?.residue ?? 0);
            expect(
              found?.modulus === 0 ? apart : apart % (found?.modulus ?? 1),
              `index ${index}`,
            ).toBeCloseTo(0);
          }
    }
    expect(some).toBeGreaterThan(20);
  });
});
