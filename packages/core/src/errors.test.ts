import { describe, expect, it } from "vitest";
import { checkFields, checkSignal } from "./errors.ts";
import { createWeights } from "./weights.ts";

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
