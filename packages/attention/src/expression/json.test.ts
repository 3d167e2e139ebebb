import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { randomExpression, randomModifier } from "@heddle/conformance";
import { HeddleError } from "@heddle/core";
import { constant, number, score, variables } from "./builders.ts";
import { booleanFromJSON, cacheKey, expressionToJSON, numberFromJSON } from "./json.ts";

const { query, key } = variables;
/** What random trees are made for. */
const bounds = { greatestLength: 64, heads: 4 };
const through = (value: unknown): unknown => JSON.parse(JSON.stringify(value));

/** The message of the HeddleError that reading throws; its code must be `invalid-data`. */
function refusal(json: unknown, read: (json: unknown) => unknown = booleanFromJSON): string {
  try {
    read(json);
  } catch (error) {
    if (!(error instanceof HeddleError)) throw error;
    expect(error.code).toBe("invalid-data");
    return error.message;
  }
  return "nothing was refused";
}

describe("expressions as JSON", () => {
  it("come back as the same tree: 1,000 random booleans and numbers", () => {
    for (let index = 0; index < 1000; index++) {
      const tree = randomExpression({ seed: 31, index });
      expect(booleanFromJSON(through(expressionToJSON(tree)), "tree", bounds)).toEqual(tree);
      const modifier = randomModifier({ seed: 31, index });
      const back = numberFromJSON(through(expressionToJSON(modifier)), "tree", bounds);
      expect(cacheKey(back)).toBe(cacheKey(modifier));
      expect(back).toEqual(modifier);
    }
  });
  it("are canonical: equal trees have equal keys, others have others", () => {
    const make = () => query.minus(key).modulo(3).equals(0).node;
    expect(cacheKey(make())).toBe(cacheKey(make()));
    expect(cacheKey(make())).not.toBe(cacheKey(query.minus(key).modulo(4).equals(0).node));
    expect(cacheKey(number(-0).node)).not.toBe(cacheKey(number(0).node));
    expect(numberFromJSON(through(expressionToJSON(number(-0).node)))).toEqual({ op: "number", value: -0 });
    const { op, left, right } = make() as { op: "equal"; left: never; right: never };
    expect(
      cacheKey(booleanFromJSON({ right: expressionToJSON(right), left: expressionToJSON(left), op })),
    ).toBe(cacheKey(make()));
    const keys = new Set(
      Array.from({ length: 500 }, (_, index) => cacheKey(randomExpression({ seed: 32, index, depth: 3 }))),
    );
    const trees = new Set(
      Array.from({ length: 500 }, (_, index) =>
        JSON.stringify(randomExpression({ seed: 32, index, depth: 3 })),
      ),
    );
    expect(keys.size).toBe(trees.size);
  });
  it("name the path of what is wrong", () => {
    const variable = { op: "variable", name: "key" };
    const equal = (left: unknown) => ({ op: "equal", left, right: variable });
    expect(refusal({ op: "xor", operands: [] })).toBe(
      'expression.op must be one of literal, equal, less, lessOrEqual, and, or, not, table, got "xor"',
    );
    expect(refusal({ op: "and", operands: [{ op: "not", operand: { op: "equal", left: variable } }] })).toBe(
      'expression.operands[0].operand must have a field right, got {"op":"equal","left":{"op":"variable","name":"key"}}',
    );
    expect(refusal(equal({ op: "add", left: variable, right: { op: "constant", value: "7" } }))).toBe(
      'expression.left.right.value must be an integer, got "7"',
    );
    expect(refusal(equal({ op: "variable", name: "row" }))).toContain(
      "expression.left.name must be one of query, key, head",
    );
    expect(refusal(equal({ op: "score" }))).toContain("expression.left.op must be one of constant, variable");
    expect(refusal({ op: "literal", value: 1 })).toBe("expression.value must be true or false, got 1");
    expect(refusal({ op: "or", operands: {} })).toBe("expression.operands must be a list, got {}");
    expect(refusal({ op: "literal", value: true, extra: 1 })).toBe(
      'expression must have the fields op, value and no others, got "extra"',
    );
    expect(refusal(equal({ op: "divide", left: variable, divisor: 0 }))).toBe(
      "expression: divisor must be an integer from 1 to 2147483647, got 0",
    );
    expect(refusal({ op: "number", value: null }, numberFromJSON)).toBe(
      "expression.value must be a number, got null",
    );
    expect(refusal({ op: "number", value: 0.1 }, numberFromJSON)).toContain(
      "expression: number must be a float32",
    );
    for (const nothing of [null, undefined, 3, "and", [], {}])
      expect(refusal(nothing)).toContain("expression.op must be one of literal");
  });
  it("refuse prototypes, tables that lie, and trees too deep or too large", () => {
    expect(refusal(JSON.parse('{"op":"literal","value":true,"__proto__":{}}'))).toContain(
      'and no others, got "__proto__"',
    );
    for (const op of ["__proto__", "constructor", "toString"])
      expect(refusal({ op })).toContain("expression.op must be one of");
    const at = { op: "constant", value: 0 };
    const table = (over: object) => ({
      op: "table",
      head: at,
      row: at,
      column: at,
      table: { heads: 1, rows: 2, columns: 2, bits: "CQ==", ...over },
    });
    expect(refusal(table({}))).toBe("nothing was refused");
    expect(refusal(table({ rows: -1 }))).toBe(
      "expression.table.rows must be an integer from 1 to 67108864, got -1",
    );
    expect(refusal(table({ rows: 2 ** 26, columns: 2 ** 26 }))).toContain(
      "expression.table must have at most 67108864 entries",
    );
    expect(refusal(table({ rows: 9 }))).toBe(
      'expression.table.bits must be the base64 of 3 bytes, got "CQ=="',
    );
    expect(refusal(table({ bits: "????" }))).toContain("expression.table.bits must be the base64 of 1 bytes");
    expect(refusal(table({ bits: "/w==" }))).toContain(
      "expression.table.bits must have no bit beyond the table",
    );
    expect(refusal(table({ bits: 7 }))).toContain("expression.table.bits must be the base64 of 1 bytes");
    let deep: unknown = { op: "literal", value: true };
    for (let level = 0; level < 100_000; level++) deep = { op: "not", operand: deep };
    expect(refusal(deep)).toContain("must be nested at most 256 deep");
    const many = {
      op: "or",
      operands: Array.from({ length: 200_000 }, () => ({ op: "literal", value: true })),
    };
    expect(refusal(many)).toContain("must come among at most 100000 nodes");
    const overflow = constant(2 ** 30)
      .plus(constant(2 ** 30))
      .equals(0).node;
    expect(refusal(expressionToJSON(overflow))).toContain("expression: add must stay within int32");
  });
  it("are never misread: broken trees are refused or are trees", () => {
    const good = expressionToJSON(randomExpression({ seed: 33, index: 4, depth: 4 }));
    fc.assert(
      fc.property(fc.nat(), fc.jsonValue(), (where, junk) => {
        const text = JSON.stringify(good);
        const spots = [...text.matchAll(/"[^"]*"|-?\d+|true|false/g)];
        const spot = spots[where % spots.length]!;
        const broken = `${text.slice(0, spot.index)}${JSON.stringify(junk)}${text.slice(spot.index + spot[0].length)}`;
        let json: unknown;
        try {
          json = JSON.parse(broken);
        } catch {
          return;
        }
        try {
          const tree = booleanFromJSON(json);
          expect(booleanFromJSON(through(expressionToJSON(tree)))).toEqual(tree);
        } catch (error) {
          expect(error).toBeInstanceOf(HeddleError);
        }
      }),
      { seed: 34, numRuns: 1000 },
    );
  });
  it("of a number: a soft cap", () => {
    expect(expressionToJSON(score.dividedBy(2).tanh().node)).toEqual({
      op: "tanh",
      operand: { op: "divide", left: { op: "score" }, right: { op: "number", value: 2 } },
    });
  });
});
