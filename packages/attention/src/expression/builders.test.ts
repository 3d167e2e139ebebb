import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  allOf,
  anyOf,
  constant,
  fromInteger,
  literal,
  lookup,
  lookupTable,
  number,
  score,
  variables,
} from "./builders.ts";
import type { BooleanExpression, IntegerExpression } from "./builders.ts";
import { evaluateBoolean, evaluateInteger, evaluateNumber } from "./evaluate.ts";
import { fillTable } from "./table.ts";

const { query, key, head, queryLength, keyLength } = variables;
const context = { query: 5, key: 9, head: 2, queryLength: 12, keyLength: 20 };
const integerOf = (expression: IntegerExpression) => evaluateInteger(expression.node, context);
const holds = (expression: BooleanExpression) => evaluateBoolean(expression.node, context);
const small = fc.integer({ min: -1000, max: 1000 });

describe("integer expressions", () => {
  it("compute as JavaScript does, flooring division and modulo", () => {
    fc.assert(
      fc.property(small, small, fc.integer({ min: 1, max: 50 }), (a, b, divisor) => {
        const x = constant(a);
        expect(integerOf(x.plus(b))).toBe(a + b);
        expect(integerOf(x.minus(constant(b)))).toBe(a - b);
        expect(integerOf(x.times(b))).toBe(a * b + 0);
        expect(integerOf(x.minimum(b))).toBe(Math.min(a, b));
        expect(integerOf(x.maximum(b))).toBe(Math.max(a, b));
        expect(integerOf(x.dividedBy(divisor))).toBe(Math.floor(a / divisor));
        expect(integerOf(x.modulo(divisor))).toBe(((a % divisor) + divisor) % divisor);
        expect(holds(x.equals(b))).toBe(a === b);
        expect(holds(x.notEquals(b))).toBe(a !== b);
        expect(holds(x.isLess(b))).toBe(a < b);
        expect(holds(x.isAtMost(b))).toBe(a <= b);
        expect(holds(x.isGreater(b))).toBe(a > b);
        expect(holds(x.isAtLeast(b))).toBe(a >= b);
        expect(holds(x.between(b, b + 100))).toBe(a >= b && a <= b + 100);
      }),
      { seed: 1, numRuns: 200 },
    );
  });
  it("read the variables and the attributes of their token", () => {
    expect([query, key, head, queryLength, keyLength].map(integerOf)).toEqual([5, 9, 2, 12, 20]);
    const node = query.attribute("document").minus(key.attribute("document")).node;
    expect(
      evaluateInteger(node, { ...context, attributes: { query: { document: 7 }, key: { document: 3 } } }),
    ).toBe(4);
    expect(() => evaluateInteger(node, context)).toThrow(
      "attributes.query.document must be given, since the expression reads it, got undefined",
    );
  });
  it("refuse constants, divisors and names that are none", () => {
    const text: unknown = "3";
    expect(() => variables.query.plus(text as number)).toThrow(
      'expression must be an integer expression or an int32 constant, got "3"',
    );
    expect(() => score.plus(text as number)).toThrow(
      'expression must be a number expression or a finite constant, got "3"',
    );
    expect(() => constant(2 ** 31)).toThrow(
      "constant must be an integer from -2147483648 to 2147483647, got 2147483648",
    );
    expect(() => query.plus(0.5)).toThrow("constant must be an integer");
    expect(() => query.dividedBy(0)).toThrow(
      "dividedBy: divisor must be an integer from 1 to 2147483647, got 0",
    );
    expect(() => query.modulo(-3)).toThrow("modulo: divisor must be an integer from 1 to 2147483647, got -3");
    expect(() => key.attribute("")).toThrow("attribute: name must be letters");
    expect(() => key.attribute("a b")).toThrow("attribute: name must be letters");
  });
});

describe("boolean expressions", () => {
  it("join, flatten and negate", () => {
    const [yes, no] = [query.equals(5), query.equals(6)];
    expect([yes.and(no), yes.or(no), yes.and(yes), no.or(no), no.not()].map(holds)).toEqual([
      false,
      true,
      true,
      false,
      true,
    ]);
    expect(yes.and(no).and(yes).node).toMatchObject({ op: "and", operands: [yes.node, no.node, yes.node] });
    expect(yes.not().not().node).toBe(yes.node);
    expect([allOf([]), anyOf([])].map(holds)).toEqual([true, false]);
    expect(allOf([no]).node).toBe(no.node);
    expect(holds(literal(true))).toBe(true);
  });
  it("read tables, false outside them", () => {
    const table = fillTable({ heads: 3, rows: 2, columns: 2 }, (h, r, c) => h === 2 && r === 1 && c === 0);
    expect(holds(lookupTable(table, { row: 1, column: 0 }))).toBe(true);
    for (const index of [
      { row: 1, column: 1 },
      { row: -1, column: 2 },
      { row: 2, column: 0 },
      { head: 3, row: 1, column: 0 },
    ])
      expect(holds(lookupTable(table, index))).toBe(false);
    const shared = fillTable({ heads: 1, rows: 1, columns: 1 }, () => true);
    expect(holds(lookupTable(shared, { head: 40, row: 0, column: 0 }))).toBe(true);
  });
});

describe("number expressions", () => {
  it("compute over the score", () => {
    const at = (expression: typeof score) =>
      evaluateNumber(expression.node, { ...context, score: 3, lookups: { t: [5, 6] } });
    expect(at(score.plus(1).times(2).minus(0.5).dividedBy(3))).toBe(2.5);
    expect(at(score.negate())).toBe(-3);
    expect(at(score.tanh())).toBe(Math.tanh(3));
    expect(at(score.exp())).toBe(Math.exp(3));
    expect(at(fromInteger(key.minus(query)))).toBe(4);
    expect(at(query.equals(5).select(score, -1))).toBe(3);
    expect(at(query.equals(4).select(score, -1))).toBe(-1);
    expect([lookup("t", 1), lookup("t", 2), lookup("t", -1)].map(at)).toEqual([6, 0, 0]);
    expect(() => at(lookup("u", 0))).toThrow("lookups.u must be given");
  });
  it("round numbers to float32 and refuse what is not finite", () => {
    expect(number(0.1).node).toEqual({ op: "number", value: Math.fround(0.1) });
    expect(() => number(1e39)).toThrow("number must be a number, got Infinity");
    expect(() => lookup("", 0)).toThrow("lookup: table must be letters");
  });
});
