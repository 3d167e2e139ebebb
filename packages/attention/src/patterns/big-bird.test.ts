import { describe, expect, it } from "vitest";
import { testPattern } from "@heddle/conformance";
import { draw } from "../expression/picture.ts";
import { bigBird } from "./big-bird.ts";

const options = { block: 2, window: 3, global: 1, random: 1, seed: 7 };

describe("bigBird", () => {
  testPattern(bigBird(options));
  testPattern(bigBird({ ...options, direction: "past", random: 2 }));
  testPattern(bigBird({ ...options, random: 0, global: 0 }));
  it("sees its window, the global blocks and random ones", () => {
    expect(draw(bigBird({ ...options, block: 1, window: 1, seed: 3 }), 8)).toEqual([
      "########",
      "##.#....",
      "#.##....",
      "#.##....",
      "##..#...",
      "#....##.",
      "#.....##",
      "#.....##",
    ]);
  });
  it("draws distinct blocks outside window and global ones, for each head its own", () => {
    const heads = 4;
    const pattern = bigBird({ ...options, block: 1, random: 3 });
    const pictures = Array.from({ length: heads }, (_, head) =>
      draw(pattern, { queryLength: 24, head, heads }),
    );
    for (const picture of pictures) {
      expect(picture[0]).toBe("#".repeat(24));
      for (let row = 1; row < 24; row++) {
        const blocks = [...picture[row]!].flatMap((mark, column) => (mark === "#" ? [column] : []));
        const drawn = blocks.filter((column) => column > 0 && Math.abs(column - row) > 1);
        expect(drawn.length, `row ${row}`).toBe(3);
      }
    }
    expect(new Set(pictures.map((picture) => picture.join())).size).toBe(heads);
  });
  it("draws each block about equally often", () => {
    const counts = new Float64Array(32);
    for (let seed = 0; seed < 400; seed++) {
      const row = draw(bigBird({ ...options, block: 1, window: 1, global: 0, random: 2, seed }), 32)[5]!;
      for (let column = 0; column < 32; column++)
        if (column !== 5 && row[column] === "#") counts[column]! += 1;
    }
    const expected = (400 * 2) / 31;
    const chi = counts.reduce(
      (sum, count, at) => sum + (at === 5 ? 0 : (count - expected) ** 2 / expected),
      0,
    );
    // 30 degrees of freedom: above 59.7 in one of a thousand.
    expect(chi).toBeLessThan(59.7);
  });
  it("looking at the past sees nothing later, whatever the length", () => {
    const pattern = bigBird({ ...options, direction: "past", random: 2 });
    expect(pattern.prefixStable).toBe(true);
    const long = draw(pattern, 40);
    for (const length of [1, 9, 32])
      expect(draw(pattern, length)).toEqual(long.slice(0, length).map((row) => row.slice(0, length)));
    for (const [at, row] of long.entries()) expect(row.slice(at + 1)).not.toContain("#");
    expect(bigBird(options).prefixStable).toBe(false);
    expect(bigBird({ ...options, random: 0 }).prefixStable).toBe(true);
  });
  it("depends on its seed and on nothing else", () => {
    expect(draw(bigBird(options), 32)).toEqual(draw(bigBird({ ...options }), 32));
    expect(draw(bigBird(options), 32)).not.toEqual(draw(bigBird({ ...options, seed: 8 }), 32));
  });
  it("sees everything when more is drawn than there is", () => {
    expect(draw(bigBird({ ...options, random: 100 }), 12).join("")).not.toContain(".");
  });
  it("refuses blocks too small for the length", () => {
    expect(() =>
      bigBird({ ...options, block: 1 }).resolve({ heads: 4, queryLength: 4096, keyLength: 4096 }),
    ).toThrow(
      'bigBird: block must leave at most 16777216 entries for random blocks, got {"block":1,"entries":67108864}',
    );
  });
  it("keeps its table from step to step of decoding", () => {
    const pattern = bigBird({ ...options, direction: "past" });
    const at = (length: number) => pattern.resolve({ heads: 2, queryLength: length, keyLength: length });
    expect(at(31)).toBe(at(1));
    expect(at(33)).not.toEqual(at(32));
    expect(at(64)).toBe(at(33));
  });
  it("rejects an even window and other bad options", () => {
    expect(() => bigBird({ ...options, window: 2 })).toThrow(
      "bigBird: window must be an odd integer from 1 to 1048575, got 2",
    );
    expect(() => bigBird({ ...options, block: 0 })).toThrow(
      "bigBird: block must be an integer from 1 to 1048576, got 0",
    );
    expect(() => bigBird({ ...options, seed: -1 })).toThrow("bigBird: seed must be an integer >= 0, got -1");
    expect(() => bigBird({ ...options, direction: "x" as never })).toThrow(
      "bigBird: direction must be one of",
    );
  });
});
