import { describe, expect, it } from "vitest";
import { testPattern } from "@heddle/conformance";
import { draw } from "../expression/picture.ts";
import { strided } from "./strided.ts";

describe("strided", () => {
  testPattern(strided({ stride: 4 }));
  testPattern(strided({ stride: 3, direction: "both" }));
  testPattern(strided({ stride: 3, heads: ["local", "strided", "local"] }));
  it("sees the last keys and every stride-th one", () => {
    expect(draw(strided({ stride: 3 }), 8)).toEqual([
      "#.......",
      "##......",
      "###.....",
      "####....",
      ".####...",
      "..####..",
      "#..####.",
      ".#..####",
    ]);
  });
  it("splits the two parts between heads", () => {
    const pattern = strided({ stride: 3, heads: ["strided", "local"] });
    expect(draw(pattern, { queryLength: 5, head: 0, heads: 2 })).toEqual([
      "#....",
      ".#...",
      "..#..",
      "#..#.",
      ".#..#",
    ]);
    expect(draw(pattern, { queryLength: 5, head: 1, heads: 2 })).toEqual([
      "#....",
      "##...",
      "###..",
      "####.",
      ".####",
    ]);
  });
  it("agrees with the paper's sets", () => {
    for (const stride of [1, 2, 5]) {
      const picture = draw(strided({ stride }), 21);
      for (let i = 0; i < 21; i++) {
        const seen = new Set<number>();
        for (let j = Math.max(0, i - stride); j <= i; j++) seen.add(j);
        for (let j = i; j >= 0; j -= stride) seen.add(j);
        expect(picture[i]).toBe(Array.from({ length: 21 }, (_, j) => (seen.has(j) ? "#" : ".")).join(""));
      }
    }
  });
  it("mirrors for encoders", () => {
    const picture = draw(strided({ stride: 3, direction: "both" }), 9);
    const past = draw(strided({ stride: 3 }), 9);
    for (let i = 0; i < 9; i++)
      for (let j = 0; j < 9; j++) expect(picture[i]?.[j]).toBe(past[Math.max(i, j)]?.[Math.min(i, j)]);
  });
  it("rejects a stride of 0, an unknown part or direction", () => {
    expect(() => strided({ stride: 0 })).toThrow(
      "strided: stride must be an integer from 1 to 1048576, got 0",
    );
    expect(() => strided({ stride: 2, heads: ["far"] as never })).toThrow(
      'strided: heads[0] must be one of "local", "strided", got "far"',
    );
    expect(() => strided({ stride: 2, heads: [] })).toThrow(
      "strided: heads must be a list with one entry a head, got []",
    );
    expect(() => strided({ stride: 2, direction: "up" as never })).toThrow(
      'strided: direction must be one of "past", "both", got "up"',
    );
  });
});
