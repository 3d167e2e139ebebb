import { describe, expect, it } from "vitest";
import { testPattern } from "@heddle/conformance";
import { draw } from "../expression/picture.ts";
import { fixed } from "./fixed.ts";

describe("fixed", () => {
  testPattern(fixed({ stride: 4, summary: 1 }));
  testPattern(fixed({ stride: 5, summary: 2, direction: "both" }));
  testPattern(fixed({ stride: 4, summary: 2, heads: ["summary", "local", "local"] }));
  it("sees its block and the end of every block before", () => {
    expect(draw(fixed({ stride: 3, summary: 1 }), 8)).toEqual([
      "#.......",
      "##......",
      "###.....",
      "..##....",
      "..###...",
      "..####..",
      "..#..##.",
      "..#..###",
    ]);
  });
  it("agrees with the paper's sets", () => {
    for (const [stride, summary] of [
      [1, 1],
      [4, 2],
      [6, 6],
    ] as const) {
      const picture = draw(fixed({ stride, summary }), 21);
      for (let i = 0; i < 21; i++) {
        const row = Array.from({ length: 21 }, (_, j) => {
          const local = Math.floor(j / stride) === Math.floor(i / stride);
          return j <= i && (local || j % stride >= stride - summary) ? "#" : ".";
        });
        expect(picture[i]).toBe(row.join(""));
      }
    }
  });
  it("splits the two parts between heads, and sees later keys for encoders", () => {
    const pattern = fixed({ stride: 2, summary: 1, heads: ["local", "summary"], direction: "both" });
    expect(draw(pattern, { queryLength: 4, head: 0, heads: 2 })).toEqual(["##..", "##..", "..##", "..##"]);
    expect(draw(pattern, { queryLength: 4, head: 1, heads: 2 })).toEqual([".#.#", ".#.#", ".#.#", ".#.#"]);
  });
  it("rejects a summary longer than the block", () => {
    expect(() => fixed({ stride: 3, summary: 4 })).toThrow(
      "fixed: summary must be an integer from 1 to 3, got 4",
    );
    expect(() => fixed({ stride: 3, summary: 1, heads: ["x"] as never })).toThrow(
      "fixed: heads[0] must be one of",
    );
  });
});
