import { describe, expect, it } from "vitest";
import { testPattern } from "@heddle/conformance";
import { literal, variables } from "./builders.ts";
import type { BooleanExpression } from "./builders.ts";
import { allows } from "./evaluate.ts";
import { and, not, or, pattern } from "./pattern.ts";
import { draw } from "./picture.ts";
import { patternToJSON } from "./pattern-json.ts";
import { bigBird } from "../patterns/big-bird.ts";
import { causal } from "../patterns/causal.ts";
import { dilated } from "../patterns/dilated.ts";
import { globalTokens } from "../patterns/global-tokens.ts";
import { slidingWindow } from "../patterns/sliding-window.ts";

const shape = { heads: 2, queryLength: 6, keyLength: 6 };
const window = slidingWindow({ before: 1, after: 1 });

describe("pattern", () => {
  const everyThird = pattern("every-third", {}, ({ query, key }) => query.minus(key).modulo(3).equals(0));
  testPattern(everyThird, { factories: { "every-third": () => everyThird } });

  it("is a value with a name, options and an expression", () => {
    expect(patternToJSON(everyThird)).toEqual({ name: "every-third" });
    expect(draw(everyThird, 4)).toEqual(["#..#", ".#..", "..#.", "#..#"]);
    expect(Object.isFrozen(everyThird)).toBe(true);
    expect(allows(everyThird, { query: 5, key: 2, queryLength: 6, keyLength: 6 })).toBe(true);
  });
  it("builds once a shape, for a few shapes, when it reads a length", () => {
    let built = 0;
    const counted = pattern("counted", {}, (_, { keyLength }) => (built++, literal(keyLength > 3)));
    for (let turn = 0; turn < 3; turn++) counted.resolve(shape);
    expect(built).toBe(1);
    for (let length = 0; length < 20; length++) counted.resolve({ ...shape, keyLength: length });
    expect(built).toBe(20);
    counted.resolve(shape);
    expect(built).toBe(21);
  });
  it("builds once a number of heads when it reads none, joined or not", () => {
    let built = 0;
    const counted = pattern("counted", {}, ({ key }, { heads }) => (built++, key.isLess(heads)));
    const joined = and(causal(), or(counted, window));
    const first = joined.resolve(shape);
    for (let length = 1; length < 20; length++) {
      expect(counted.resolve({ ...shape, keyLength: length })).toBe(counted.resolve(shape));
      expect(joined.resolve({ ...shape, keyLength: length })).toBe(first);
    }
    expect(built).toBe(1);
    expect(joined.resolve({ ...shape, heads: 5 })).not.toEqual(first);
    const random = or(causal(), bigBird({ block: 2, window: 1, global: 0, random: 1, seed: 1 }));
    expect(random.resolve({ ...shape, keyLength: 20 })).not.toEqual(random.resolve(shape));
  });
  it("finds out whether it depends on a length", () => {
    const stable = (build: Parameters<typeof pattern>[2]) => pattern("x", {}, build).prefixStable;
    expect(stable(({ key, query }) => key.isAtMost(query))).toBe(true);
    expect(stable(({ key }, { heads }) => key.isAtMost(heads))).toBe(true);
    expect(stable(({ key, keyLength }) => key.plus(1).equals(keyLength))).toBe(false);
    expect(stable(({ key, queryLength }) => key.plus(1).equals(queryLength))).toBe(false);
    expect(stable(({ key }, { keyLength }) => key.isLess(Math.ceil(keyLength / 2)))).toBe(false);
    expect(stable(({ key }, { queryLength }) => key.isLess(queryLength))).toBe(false);
    expect(
      pattern("x", {}, ({ key }, { keyLength }) => key.isAtMost(keyLength), { prefixStable: true })
        .prefixStable,
    ).toBe(true);
  });
  it("is checked up to its greatest length, which its shapes keep to", () => {
    const product = (greatestLength?: number) =>
      pattern("product", {}, ({ query, key }) => query.times(key).isAtMost(100), { greatestLength });
    expect(() => product().resolve(shape)).toThrow(
      "product: multiply must stay within int32 up to length 1048576",
    );
    const short = or(product(1000), causal());
    expect(draw(short, 3)).toEqual(["###", "###", "###"]);
    expect(() => short.resolve({ ...shape, keyLength: 1001 })).toThrow(
      "or: keyLength must be an integer from 0 to 1000, got 1001",
    );
    expect(() => not(product(1000)).resolve({ ...shape, queryLength: 1001 })).toThrow(
      "not: queryLength must be",
    );
  });
  it("keeps a copy of its options", () => {
    const given = { list: [1, 2] };
    const mine = pattern("mine", given, () => literal(true));
    given.list.push(3);
    expect(mine.options).toEqual({ list: [1, 2] });
    expect(() => (mine.options["list"] as number[]).push(3)).toThrow(TypeError);
  });
  it("refuses to be built from what is no boolean expression", () => {
    for (const built of [true, undefined, variables.query]) {
      const build: () => unknown = () => built;
      expect(() => pattern("odd", {}, build as () => BooleanExpression).resolve(shape)).toThrow(
        "pattern odd: build must return a boolean expression, got",
      );
    }
  });
  it("refuses a bad name, an option called name and bad shapes", () => {
    expect(() => pattern("", {}, () => literal(true))).toThrow(
      'pattern: name must be a non-empty string, got ""',
    );
    expect(() => pattern("x", { name: "y" }, () => literal(true))).toThrow(
      "pattern x: options must have no option called name",
    );
    expect(() => window.resolve({ ...shape, heads: 0 })).toThrow(
      "sliding-window: heads must be an integer from 1",
    );
    expect(() => window.resolve({ ...shape, queryLength: -1 })).toThrow(
      "sliding-window: queryLength must be an integer from 0",
    );
    expect(() => window.resolve({ ...shape, keyLength: NaN })).toThrow(
      "sliding-window: keyLength must be an integer from 0",
    );
  });
});

describe("and, or, not", () => {
  const global = globalTokens([0]);
  testPattern(and(causal(), or(window, global)));
  testPattern(not(window));
  testPattern(or(dilated({ window: { before: 2 }, dilation: [1, 2] }), global), { heads: 2 });
  testPattern(and());
  testPattern(or());

  it("join what their parts allow", () => {
    expect(draw(and(causal(), window), 4)).toEqual(["#...", "##..", ".##.", "..##"]);
    expect(draw(or(slidingWindow({ before: 0 }), global), 4)).toEqual(["####", "##..", "#.#.", "#..#"]);
    expect(draw(not(causal()), 3)).toEqual([".##", "..#", "..."]);
    expect(draw(and(), 2)).toEqual(["##", "##"]);
    expect(draw(or(), 2)).toEqual(["..", ".."]);
    expect(and(window)).toBe(window);
  });
  it("flatten what is nested", () => {
    expect(patternToJSON(and(causal(), and(window, global)))).toEqual({
      name: "and",
      of: [
        { name: "causal" },
        { name: "sliding-window", before: 1, after: 1 },
        { name: "global-tokens", positions: [0] },
      ],
    });
    expect(and(causal(), and(window, global)).resolve(shape)).toEqual(
      and(causal(), window, global).resolve(shape),
    );
    expect(patternToJSON(and(causal(), or(window, global))).of).toHaveLength(2);
    expect(patternToJSON(not(window))).toEqual({
      name: "not",
      of: { name: "sliding-window", before: 1, after: 1 },
    });
  });
  it("depend on a length when a part does", () => {
    const random = bigBird({ block: 2, window: 1, global: 0, random: 1, seed: 1 });
    expect(and(causal(), random).prefixStable).toBe(false);
    expect(not(random).prefixStable).toBe(false);
    expect(or(causal(), window).prefixStable).toBe(true);
  });
  it("keep the number of heads that a part is made for", () => {
    const perHead = dilated({ window: { before: 1 }, dilation: [1, 2, 3] });
    expect(() => or(perHead, global).resolve(shape)).toThrow(
      "dilated: heads must be 3, as its options say, got 2",
    );
    expect(or(perHead, global).prefixStable).toBe(true);
  });
  it("refuse what is no pattern", () => {
    expect(() => and(causal(), undefined as never)).toThrow(
      "and: operand 1 must be an attention pattern, got undefined",
    );
    expect(() => not({ kind: "modifier" } as never)).toThrow("not: operand must be an attention pattern");
  });
});
