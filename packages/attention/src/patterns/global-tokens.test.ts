import { describe, expect, it } from "vitest";
import { testPattern } from "@heddle/conformance";
import { or } from "../expression/pattern.ts";
import { draw } from "../expression/picture.ts";
import { globalTokens } from "./global-tokens.ts";
import { slidingWindow } from "./sliding-window.ts";

describe("globalTokens", () => {
  testPattern(globalTokens([0, 3, 4, 5, 9]));
  testPattern(globalTokens({ attribute: "global" }));
  it("sees all and is seen by all", () => {
    expect(draw(globalTokens([1]), 4)).toEqual([".#..", "####", ".#..", ".#.."]);
    expect(draw(globalTokens([7]), 3)).toEqual(["...", "...", "..."]);
  });
  it("joins a window as in Longformer", () => {
    expect(draw(or(slidingWindow({ before: 1, after: 1 }), globalTokens([0])), 5)).toEqual([
      "#####",
      "###..",
      "####.",
      "#.###",
      "#..##",
    ]);
  });
  it("takes the tokens of each example from an attribute", () => {
    const values = Int32Array.of(0, 0, 2);
    const attributes = { query: { global: values }, key: { global: values } };
    expect(draw(globalTokens({ attribute: "global" }), { queryLength: 3, attributes })).toEqual([
      "..#",
      "..#",
      "###",
    ]);
  });
  it("takes positions in any order, more than once", () => {
    expect(draw(globalTokens([3, 1, 2, 1]), 5)).toEqual(draw(globalTokens([1, 2, 3]), 5));
  });
  it("rejects an empty list, a negative position, both or neither option", () => {
    expect(() => globalTokens([])).toThrow(
      "globalTokens: positions must be a list with at least one position, got []",
    );
    expect(() => globalTokens([0, -1])).toThrow(
      "globalTokens: positions[1] must be an integer from 0 to 1048576, got -1",
    );
    expect(() => globalTokens({} as never)).toThrow(
      "globalTokens must have either positions or an attribute, got {}",
    );
  });
});
