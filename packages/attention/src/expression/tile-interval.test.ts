import { randomExpression } from "@heddle/conformance";
import { describe, expect, it } from "vitest";
import { variables } from "./builders.ts";
import { evaluateInteger } from "./evaluate.ts";
import { FormBuilder } from "./tile-form.ts";
import { compileForm } from "./tile-interval.ts";
import { walk } from "./tree.ts";
import type { IntegerExpression } from "./builders.ts";
import type { Interval, Tile } from "./tile-interval.ts";
import type { IntegerNode } from "./tree.ts";

const known = { head: 1, queryLength: 40, keyLength: 40 };
const { query, key } = variables;

function tile(queries: readonly [number, number, number], keys: readonly [number, number, number]): Tile {
  const [queryStart, queryStep, queryCount] = queries;
  const [keyStart, keyStep, keyCount] = keys;
  return {
    queryStart,
    queryStep,
    queryCount,
    keyStart,
    keyStep,
    keyCount,
    attributes: undefined,
    whole: true,
  };
}

function intervalOf(node: IntegerNode, at: Tile): Interval {
  return compileForm(new FormBuilder(known).form(node), at)();
}

function valuesOf(node: IntegerNode, at: Tile): Set<number> {
  const values = new Set<number>();
  for (let i = 0; i < at.queryCount; i++)
    for (let j = 0; j < at.keyCount; j++) {
      const pair = { query: at.queryStart + at.queryStep * i, key: at.keyStart + at.keyStep * j };
      values.add(evaluateInteger(node, { ...known, ...pair }));
    }
  return values;
}

/** Says what an interval claims wrongly; empty when all holds. */
function faults({ low, high, step, exact, ends }: Interval, values: Set<number>): string[] {
  const wrong: string[] = [];
  for (const value of values) {
    const held = value >= low && value <= high && (step === 0 ? value === low : (value - low) % step === 0);
    if (!held) wrong.push(`${value} is not in ${low}..${high} step ${step}`);
  }
  if ((step === 0) !== (low === high) || (step !== 0 && (high - low) % step !== 0))
    wrong.push("its ends do not fit");
  if (ends && !(values.has(low) && values.has(high))) wrong.push(`an end of ${low}..${high} is no value`);
  if (exact && values.size !== (step === 0 ? 1 : (high - low) / step + 1)) wrong.push("it has holes");
  return wrong;
}

describe("compileForm", () => {
  const at = tile([4, 2, 5], [1, 3, 4]);
  const cases: [string, IntegerExpression, Partial<Interval>][] = [
    ["a variable", query, { low: 4, high: 12, step: 2, exact: true }],
    ["a difference", query.minus(key), { low: -6, high: 11, step: 1, exact: false, ends: true }],
    ["what cancels", query.plus(key).minus(query), { low: 1, high: 10, step: 3, exact: true }],
    ["a multiple", query.times(-3), { low: -36, high: -12, step: 6, exact: true }],
    ["a quotient by the step", query.minus(4).dividedBy(2), { low: 0, high: 4, step: 1, exact: true }],
    ["a quotient of less than the step", key.dividedBy(2), { low: 0, high: 5, step: 1, exact: false }],
    ["a remainder that the congruence fixes", query.modulo(2), { low: 0, high: 0, step: 0, exact: true }],
    ["a remainder without a turn", key.modulo(30), { low: 1, high: 10, step: 3, exact: true }],
    ["a remainder of all residues", key.modulo(4), { low: 0, high: 3, step: 1, exact: true }],
    ["a remainder of a common divisor", query.modulo(6), { low: 0, high: 4, step: 2, exact: true }],
    ["a minimum of lattices", query.minimum(key.times(2)), { low: 2, high: 12, step: 2 }],
    [
      "a minimum of lattices apart",
      query.times(3).minimum(query.times(6).plus(1)),
      { low: 12, high: 36, step: 1 },
    ],
    ["a maximum that one side wins", query.maximum(key.minus(9)), { low: 4, high: 12, step: 2, exact: true }],
    ["a product", query.times(key), { low: 4, high: 120, step: 2, ends: true }],
    [
      "a sum of quotients of both axes",
      query.dividedBy(2).plus(key.dividedBy(3)),
      { low: 2, high: 9, exact: true },
    ],
  ];
  it.each(cases)("%s", (_, expression, expected) => {
    const interval = intervalOf(expression.node, at);
    expect(interval).toMatchObject(expected);
    expect(faults(interval, valuesOf(expression.node, at))).toEqual([]);
  });

  it("holds, ends and holes included, for the integers of 3,000 random expressions", () => {
    let [integers, exact] = [0, 0];
    for (let index = 0; index < 3000; index++) {
      const [count, step, start] = [1 + (index % 7), 1 + (index % 4), index % 12];
      const where = tile([start, step, count], [(index * 5) % 11, 1 + (index % 3), 1 + (index % 5)]);
      walk(randomExpression({ seed: 7, index, attributes: false, length: 40 }), (node) => {
        if (node.op !== "equal" && node.op !== "less" && node.op !== "lessOrEqual") return;
        for (const side of [node.left, node.right]) {
          const interval = intervalOf(side, where);
          expect(faults(interval, valuesOf(side, where)), `index ${index}`).toEqual([]);
          integers++;
          if (interval.exact) exact++;
        }
      });
    }
    expect(integers).toBeGreaterThan(5000);
    expect(exact / integers).toBeGreaterThan(0.8);
  });
});
