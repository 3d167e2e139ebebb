import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { HeddleError } from "@heddle/core";
import { and, not, or } from "./pattern.ts";
import { patternFromJSON, patternToJSON } from "./pattern-json.ts";
import { causal } from "../patterns/causal.ts";
import { globalTokens } from "../patterns/global-tokens.ts";
import { slidingWindow } from "../patterns/sliding-window.ts";
import { standardPatterns } from "../standard-patterns.ts";

function refusal(json: unknown): string {
  try {
    patternFromJSON(json, standardPatterns, "attention");
  } catch (error) {
    if (!(error instanceof HeddleError)) throw error;
    expect(error.code).toBe("invalid-data");
    return error.message;
  }
  return "nothing was refused";
}

describe("patterns as JSON", () => {
  it("nest and, or and not", () => {
    const pattern = and(causal(), or(slidingWindow({ before: 3 }), not(globalTokens([1]))));
    const json = {
      name: "and",
      of: [
        { name: "causal" },
        {
          name: "or",
          of: [
            { name: "sliding-window", before: 3, after: 0 },
            { name: "not", of: { name: "global-tokens", positions: [1] } },
          ],
        },
      ],
    };
    expect(patternToJSON(pattern)).toEqual(json);
    const back = patternFromJSON(json, standardPatterns);
    expect(patternToJSON(back)).toEqual(json);
    const shape = { heads: 1, queryLength: 5, keyLength: 5 };
    expect(back.resolve(shape)).toEqual(pattern.resolve(shape));
  });
  it("fill in what the JSON leaves out", () => {
    expect(patternFromJSON({ name: "sliding-window", before: 31 }, standardPatterns).options).toEqual({
      before: 31,
      after: 0,
    });
    expect(patternFromJSON({ name: "documents" }, standardPatterns).options).toEqual({
      attribute: "document",
    });
  });
  it("name the path of what is wrong", () => {
    expect(refusal({ name: "sliding-windw", before: 1 })).toMatch(
      /^attention\.name must be one of and, big-bird, block-table, .*, got "sliding-windw"$/,
    );
    expect(refusal({ name: "or", of: [{ name: "causal" }, { name: "sliding-window", before: -1 }] })).toBe(
      "attention.of[1]: slidingWindow: before must be an integer from 0 to 1048576, got -1",
    );
    expect(refusal({ name: "sliding-window", before: 1, befor: 2 })).toBe(
      'attention: slidingWindow: options must have only the fields before, after, got "befor"',
    );
    expect(refusal({ name: "causal", strict: true })).toBe(
      'attention must have only the options none, got "strict"',
    );
    expect(refusal({ name: "dilated", window: { before: 1, aftr: 2 }, dilation: 2 })).toBe(
      'attention: dilated: window must have only the fields before, after, got "aftr"',
    );
    for (const name of ["documents", "global-tokens", "prefix"])
      expect(refusal({ name, attribute: "no name" })).toMatch(
        /^attention: \w+: attribute must be letters, .*, got "no name"$/,
      );
    expect(refusal({ name: "and", of: {} })).toBe(
      "attention.of must be a list of at most 1024 patterns, got {}",
    );
    expect(refusal({ name: "not", of: [] })).toBe("attention.of must be an object with a name, got []");
    expect(refusal({ name: "and", of: [], extra: 1 })).toBe(
      'attention must have a name, the field of, and no others, got "extra"',
    );
    expect(refusal({})).toBe("attention.name must be the name of a pattern, got undefined");
    expect(refusal("causal")).toBe('attention must be an object with a name, got "causal"');
    expect(refusal(null)).toBe("attention must be an object with a name, got null");
  });
  it("refuse prototypes and endless nesting", () => {
    for (const name of ["__proto__", "constructor", "toString", "hasOwnProperty"])
      expect(refusal({ name })).toContain("attention.name must be one of");
    expect(refusal(JSON.parse('{"name":"causal","__proto__":{"x":1}}'))).toContain('got "__proto__"');
    expect(refusal(JSON.parse('{"name":"sliding-window","__proto__":{"before":1}}'))).toContain(
      'got "__proto__"',
    );
    let deep: unknown = { name: "causal" };
    for (let level = 0; level < 20_000; level++) deep = { name: "not", of: deep };
    expect(refusal(deep)).toContain("must be nested at most 32 deep");
    expect(refusal({ name: "or", of: Array.from({ length: 2000 }, () => ({ name: "causal" })) })).toContain(
      "at most 1024 patterns",
    );
  });
  it("never misread: junk options give a pattern or a HeddleError", () => {
    const names = [...Object.keys(standardPatterns), "and", "or", "not"];
    const options = [
      "before",
      "after",
      "window",
      "dilation",
      "positions",
      "attribute",
      "stride",
      "summary",
      "heads",
      "direction",
    ];
    const more = ["block", "table", "global", "random", "seed", "length", "of"];
    const option = fc.constantFrom(...options, ...more);
    const value = fc.oneof(fc.nat({ max: 5 }), fc.jsonValue({ maxDepth: 2 }));
    let made = 0;
    fc.assert(
      fc.property(fc.constantFrom(...names), fc.dictionary(option, value, { maxKeys: 6 }), (name, given) => {
        try {
          const pattern = patternFromJSON({ name, ...given }, standardPatterns);
          expect(patternToJSON(patternFromJSON(patternToJSON(pattern), standardPatterns))).toEqual(
            patternToJSON(pattern),
          );
          made++;
        } catch (error) {
          expect(error).toBeInstanceOf(HeddleError);
        }
      }),
      { seed: 35, numRuns: 3000 },
    );
    expect(made).toBeGreaterThan(100);
  });
});
