import { describe, expect, it } from "vitest";
import { draw } from "./picture.ts";
import { causal } from "../patterns/causal.ts";
import { full } from "../patterns/full.ts";
import { longformer } from "../mechanisms/longformer.ts";
import { slidingWindow } from "../patterns/sliding-window.ts";

describe("draw", () => {
  it("draws a row a query", () => {
    expect(draw(causal(), { queryLength: 2, keyLength: 4 })).toEqual(["#...", "##.."]);
    expect(draw(full(), 0)).toEqual([]);
  });
  it("scales down to some columns, shading what is seen in part", () => {
    expect(draw(causal(), { queryLength: 8, columns: 4 })).toEqual(["▓...", "#▓..", "##▓.", "###▓"]);
    expect(draw(slidingWindow({ before: 1 }), { queryLength: 12, columns: 4 })).toEqual([
      "▒...",
      "░▒..",
      ".░▒.",
      "..░▒",
    ]);
    expect(draw(full(), { queryLength: 10, columns: 4 })).toEqual(["####", "####", "####", "####"]);
    expect(draw(full(), { queryLength: 3, columns: 80 })).toEqual(["###", "###", "###"]);
    for (const columns of [1, 7, 50, 99]) {
      const picture = draw(causal(), { queryLength: 100, columns });
      expect(picture[0]!.length).toBeLessThanOrEqual(columns);
      expect(picture.at(-1)).toMatch(columns === 1 ? /^▒$/ : /^#+[▒▓#]$/);
    }
  });
  it("refuses a head that is not there and no columns", () => {
    expect(() => draw(causal(), { queryLength: 2, head: 2, heads: 2 })).toThrow(
      "draw: head must be an integer from 0 to 1, got 2",
    );
    expect(() => draw(causal(), -1)).toThrow("draw: queryLength must be an integer >= 0, got -1");
    expect(() => draw(causal(), { queryLength: 2, keyLength: 1.5 })).toThrow(
      "draw: keyLength must be an integer >= 0, got 1.5",
    );
    expect(() => draw(longformer({ window: 2 }) as never, 3)).toThrow(
      'draw: pattern must be an attention pattern, got {"kind":"mechanism"',
    );
    expect(() => draw(causal(), { queryLength: 2, columns: 0 })).toThrow(
      "draw: columns must be an integer >= 1, got 0",
    );
  });
});
