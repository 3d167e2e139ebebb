import { describe, expect, it } from "vitest";
import { testPattern } from "@heddle/conformance";
import { draw } from "../expression/picture.ts";
import { slidingWindow } from "./sliding-window.ts";
import { dilated } from "./dilated.ts";

describe("dilated", () => {
  testPattern(dilated({ window: { before: 3, after: 1 }, dilation: 2 }));
  testPattern(dilated({ window: { before: 2 }, dilation: [1, 2, 3, 2] }), { heads: 4 });
  it("sees every second key, before and after", () => {
    expect(draw(dilated({ window: { before: 2, after: 1 }, dilation: 2 }), 7)).toEqual([
      "#.#....",
      ".#.#...",
      "#.#.#..",
      ".#.#.#.",
      "#.#.#.#",
      ".#.#.#.",
      "..#.#.#",
    ]);
  });
  it("gives each head its own dilation", () => {
    const pattern = dilated({ window: { before: 1 }, dilation: [1, 3] });
    expect(draw(pattern, { queryLength: 4, head: 0, heads: 2 })).toEqual(["#...", "##..", ".##.", "..##"]);
    expect(draw(pattern, { queryLength: 4, head: 1, heads: 2 })).toEqual(["#...", ".#..", "..#.", "#..#"]);
    expect(() => draw(pattern, { queryLength: 4, heads: 3 })).toThrow(
      "dilated: heads must be 2, as its options say, got 3",
    );
  });
  it("with dilation 1 is a sliding window", () => {
    const window = { before: 3, after: 1 };
    expect(draw(dilated({ window, dilation: 1 }), 9)).toEqual(draw(slidingWindow(window), 9));
  });
  it("agrees with its definition in plain loops", () => {
    for (const [before, after, step] of [
      [0, 0, 5],
      [4, 0, 3],
      [2, 2, 4],
    ] as const) {
      const picture = draw(dilated({ window: { before, after }, dilation: step }), 23);
      for (let query = 0; query < 23; query++) {
        const row = Array.from({ length: 23 }, () => ".");
        for (let n = -before; n <= after; n++) if (row[query + n * step]) row[query + n * step] = "#";
        expect(picture[query]).toBe(row.join(""));
      }
    }
  });
  it("rejects what is no window or dilation", () => {
    const window = { before: 1 };
    expect(() => dilated({ window, dilation: 0 })).toThrow(
      "dilated: dilation must be an integer from 1 to 1024, got 0",
    );
    expect(() => dilated({ window, dilation: [1, 0] })).toThrow(
      "dilated: dilation[1] must be an integer from 1 to 1024, got 0",
    );
    expect(() => dilated({ window, dilation: [] })).toThrow(
      "dilated: dilation must be an integer >= 1 or one a head, got []",
    );
    expect(() => dilated({ window: { before: -2 }, dilation: 1 })).toThrow(
      "dilated: window.before must be an integer",
    );
    expect(() => dilated({ dilation: 1 } as never)).toThrow(
      "dilated: window must be an object of before, after, got undefined",
    );
  });
});
