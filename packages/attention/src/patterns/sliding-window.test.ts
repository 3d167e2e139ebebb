import { describe, expect, it } from "vitest";
import { testPattern } from "@heddle/conformance";
import { draw } from "../expression/picture.ts";
import { slidingWindow } from "./sliding-window.ts";

describe("slidingWindow", () => {
  testPattern(slidingWindow({ before: 2 }));
  testPattern(slidingWindow({ before: 0, after: 3 }));
  it("sees itself and the keys before it", () => {
    expect(draw(slidingWindow({ before: 1 }), 4)).toEqual(["#...", "##..", ".##.", "..##"]);
  });
  it("sees keys after it when asked to", () => {
    expect(draw(slidingWindow({ before: 1, after: 2 }), 5)).toEqual([
      "###..",
      "####.",
      ".####",
      "..###",
      "...##",
    ]);
  });
  it("rejects a negative or fractional width", () => {
    expect(() => slidingWindow({ before: -1 })).toThrow(
      "slidingWindow: before must be an integer from 0 to 1048576, got -1",
    );
    expect(() => slidingWindow({ before: 1, after: 0.5 })).toThrow(
      "slidingWindow: after must be an integer from 0 to 1048576, got 0.5",
    );
  });
});
