import { describe, expect, it } from "vitest";
import {
  HeddleError,
  checkFields,
  checkInteger,
  checkNumber,
  checkOneOf,
  checkShape,
  checkSignal,
  reject,
  show,
} from "./errors.ts";
import { createWeights } from "./weights.ts";

describe("show", () => {
  const circle: { self?: unknown } = {};
  circle.self = circle;
  const { proxy, revoke } = Proxy.revocable({}, {});
  revoke();

  it.each<[unknown, string]>([
    [undefined, "undefined"],
    [null, "null"],
    [Number.NaN, "NaN"],
    [-Infinity, "-Infinity"],
    [10n, "10n"],
    [Symbol("x"), "Symbol(x)"],
    ["two\nlines", '"two\\nlines"'],
    [{ a: [1, undefined] }, '{"a":[1,null]}'],
    [Int32Array.of(1, 2, 3, 4, 5, 6, 7, 8, 9), "Int32Array [1,2,3,4,5,6,7,8]"],
    [new DataView(new ArrayBuffer(1)), "{}"],
    [checkShape, "function checkShape"],
    [() => 1, "function without a name"],
    [circle, "[object Object]"],
    [{ big: 1n }, "[object Object]"],
    [{ toJSON: () => undefined }, "[object Object]"],
    [Object.defineProperty(() => 1, "name", { value: Symbol("x") }), "function without a name"],
  ])("of %# is short, on one line", (value, text) => {
    expect(show(value)).toBe(text);
  });

  it("of what cannot even be asked says so", () => {
    expect(show(proxy)).toBe("a value that cannot be shown");
  });

  it("cuts what is long", () => {
    expect(show("x".repeat(500))).toBe(`"${"x".repeat(116)}...`);
    expect(show(Array.from({ length: 1000 }, () => 0))).toHaveLength(120);
    expect(show(10n ** 500n)).toHaveLength(120);
  });
});

describe("checks", () => {
  it.each<[() => unknown, string]>([
    [() => reject("f: x", "be red", "blue"), 'f: x must be red, got "blue"'],
    [() => checkInteger("f: x", 1.5), "f: x must be an integer, got 1.5"],
    [() => checkInteger("f: x", 2 ** 53), "f: x must be an integer, got 9007199254740992"],
    [() => checkInteger("f: x", "1", { min: 0 }), 'f: x must be an integer >= 0, got "1"'],
    [() => checkInteger("f: x", 4, { min: 0, max: 3 }), "f: x must be an integer from 0 to 3, got 4"],
    [() => checkNumber("f: x", Number.NaN), "f: x must be a number, got NaN"],
    [() => checkNumber("f: x", 2, { max: 1 }), "f: x must be a number <= 1, got 2"],
    [() => checkOneOf("f: x", "c", ["a", "b"]), 'f: x must be one of "a", "b", got "c"'],
    [() => checkShape("f: x", [2, 3], [null, 4]), "f: x must have shape [any, 4], got [2,3]"],
    [() => checkShape("f: x", [2], [2, 1]), "f: x must have shape [2, 1], got [2]"],
  ])("%#: say where, the rule and the value", (check, message) => {
    expect(check).toThrow(HeddleError);
    expect(check).toThrow(expect.objectContaining({ code: "invalid-argument", message }));
  });

  it("let through what keeps the rule", () => {
    checkInteger("x", 3, { min: 3, max: 3 });
    checkNumber("x", -0.5, { min: -1 });
    checkOneOf("x", "a", ["a"]);
    checkShape("x", [2, 0], [null, 0]);
  });
});

describe("checkFields", () => {
  const check = (given: object): void =>
    checkFields<{ before?: number; after?: number }>("window: options", given, ["before", "after"]);

  it("lets through known fields, all or none of them", () => {
    expect(() => check({})).not.toThrow();
    expect(() => check({ after: 1, before: undefined })).not.toThrow();
  });

  it("names a field that there is not, and those that there are", () => {
    expect(() => check({ before: 1, aftr: 2 })).toThrow(
      'window: options must have only the fields before, after, got "aftr"',
    );
    expect(() => checkFields("none", { a: 1 } as object, [])).toThrow(
      'none must have only the fields none, got "a"',
    );
  });

  it.each([
    [undefined, "undefined"],
    [null, "null"],
    [3, "3"],
    [[1], "[1]"],
  ])("refuses %s, which holds no options", (given, shown) => {
    expect(() => check(given as never)).toThrow(
      `window: options must be an object of before, after, got ${shown}`,
    );
  });
});

describe("checkSignal", () => {
  it("takes a signal or nothing", () => {
    expect(() => checkSignal("run: signal", AbortSignal.abort())).not.toThrow();
    expect(() => checkSignal("run: signal", undefined)).not.toThrow();
    expect(() => checkSignal("run: signal", null)).toThrow("run: signal must be an AbortSignal, got null");
    expect(() => checkSignal("run: signal", { aborted: true })).toThrow("run: signal must be an AbortSignal");
  });
});

describe("createWeights", () => {
  it("refuses a misspelt option, of its own and of its parts", () => {
    expect(() => createWeights({ sed: 1 } as object)).toThrow(
      'createWeights: options must have only the fields seed, got "sed"',
    );
    const misspelt = { in: 2, out: 2, biass: false };
    expect(() => createWeights().linear("dense", misspelt)).toThrow(
      'dense: options must have only the fields in, out, bias, layout, init, from, got "biass"',
    );
    const spec = { shape: [2], int: () => undefined };
    expect(() => createWeights().parameter("scale", spec)).toThrow(
      'scale: options must have only the fields shape, init, from, got "int"',
    );
  });
});
