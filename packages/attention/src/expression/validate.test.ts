import { describe, expect, it } from "vitest";
import { constant, literal, lookupTable, number, score, variables } from "./builders.ts";
import { pattern } from "./pattern.ts";
import { fillTable } from "./table.ts";
import type { BooleanNode, IntegerNode } from "./tree.ts";
import { checkExpression } from "./validate.ts";

const { query, key, head } = variables;

describe("checkExpression", () => {
  it("refuses what could leave int32 at the greatest length, and says so", () => {
    const product = query.times(key).isLess(5).node;
    expect(() => checkExpression("mine", product)).toThrow(
      'mine: multiply must stay within int32 up to length 1048576, got "0 to 1099509530625"',
    );
    expect(() => checkExpression("mine", product, { greatestLength: 46_000 })).not.toThrow();
    expect(() => checkExpression("mine", product, { greatestLength: 46_342 })).toThrow("up to length 46342");
    expect(() =>
      checkExpression(
        "mine",
        constant(2 ** 31 - 1)
          .plus(key)
          .equals(0).node,
      ),
    ).toThrow("mine: add must");
    expect(() =>
      checkExpression(
        "mine",
        constant(-(2 ** 31))
          .minus(1)
          .equals(0).node,
      ),
    ).toThrow("mine: subtract must");
    expect(() => checkExpression("mine", key.attribute("a").times(128).equals(0).node)).toThrow(
      "mine: multiply must",
    );
    expect(() => checkExpression("mine", head.times(2 ** 22).equals(0).node)).toThrow("mine: multiply must");
    expect(() => checkExpression("mine", head.times(2 ** 22).equals(0).node, { heads: 8 })).not.toThrow();
  });
  it("knows what division, modulo, minimum and maximum leave", () => {
    const fine = [
      query.dividedBy(64).times(key.dividedBy(64)),
      query.modulo(1000).times(key),
      query.minimum(1000).times(key),
      query
        .maximum(-5)
        .minus(key)
        .modulo(7)
        .times(2 ** 28),
      query.modulo(2 ** 21).plus(2 ** 31 - 2 ** 20),
    ];
    for (const expression of fine)
      expect(() => checkExpression("mine", expression.equals(0).node)).not.toThrow();
    expect(() => checkExpression("mine", query.modulo(3000).times(key).equals(0).node)).toThrow(
      "mine: multiply must",
    );
  });
  it("refuses overflow when a pattern is resolved", () => {
    const bad = pattern("bad", {}, (v) => v.query.times(v.key).isAtMost(100));
    expect(() => bad.resolve({ heads: 1, queryLength: 4, keyLength: 4 })).toThrow(
      "bad: multiply must stay within int32",
    );
  });
  it("refuses what no builder makes: divisors, constants, names, tables", () => {
    const variable: IntegerNode = { op: "variable", name: "key" };
    const equal = (left: IntegerNode): BooleanNode => ({ op: "equal", left, right: variable });
    expect(() => checkExpression("mine", equal({ op: "divide", left: variable, divisor: 0 }))).toThrow(
      "mine: divisor must",
    );
    expect(() => checkExpression("mine", equal({ op: "modulo", left: variable, divisor: 1.5 }))).toThrow(
      "mine: divisor must",
    );
    expect(() => checkExpression("mine", equal({ op: "constant", value: 0.5 }))).toThrow(
      "mine: constant must",
    );
    expect(() => checkExpression("mine", equal({ op: "attribute", of: "key", name: "a;b" }))).toThrow(
      "mine: attribute must",
    );
    expect(() => checkExpression("mine", { op: "number", value: 0.1 })).toThrow(
      "mine: number must be a float32, got 0.1",
    );
    expect(() => checkExpression("mine", { op: "lookup", table: "(", index: variable })).toThrow(
      "mine: lookup must",
    );
    const table = { ...fillTable({ heads: 1, rows: 2, columns: 2 }, () => true), bits: new Uint8Array(3) };
    expect(() =>
      checkExpression("mine", { op: "table", table, head: variable, row: variable, column: variable }),
    ).toThrow("mine: table.bits must be a Uint8Array of 4 entries");
  });
  it("refuses trees that are too deep or too large, shared parts counted each time", () => {
    let deep = literal(true).and(query.equals(0));
    for (let at = 0; at < 100; at++) deep = deep.or(query.equals(at)).and(key.equals(at));
    expect(() => checkExpression("mine", deep.node)).not.toThrow();
    for (let at = 0; at < 100; at++) deep = deep.or(query.equals(at)).and(key.equals(at));
    expect(() => checkExpression("mine", deep.node)).toThrow("mine must be nested at most 256 deep");
    let wide = score;
    for (let at = 0; at < 30; at++) wide = wide.plus(wide);
    expect(() => checkExpression("mine", wide.node)).toThrow("mine must have at most 100000 nodes");
    let endless = query.plus(0);
    for (let at = 0; at < 50_000; at++) endless = endless.plus(0);
    expect(() => checkExpression("mine", endless.equals(0).node)).toThrow(
      "mine must be nested at most 256 deep",
    );
  });
  it("lets numbers and tables of one head pass", () => {
    const table = fillTable({ heads: 1, rows: 1, columns: 1 }, () => true);
    expect(() => checkExpression("mine", lookupTable(table, { row: 0, column: key }).node)).not.toThrow();
    expect(() => checkExpression("mine", number(1).plus(score).tanh().node)).not.toThrow();
  });
});
