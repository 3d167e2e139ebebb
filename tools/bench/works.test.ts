import { describe, expect, it } from "vitest";
import { keptTokens, modelsOf, setCount, worksOf } from "./works.ts";
import type { WorkSpec } from "./works.ts";

const linear: WorkSpec = { kind: "linear", rows: 3, widths: [8, 4] };

describe("worksOf", () => {
  it("gives the same data each time, and other data in each set", () => {
    const [first, second] = [worksOf(linear), worksOf(linear)];
    expect(first).toHaveLength(setCount(linear));
    expect(first).toEqual(second);
    expect(first[0]).not.toEqual(first[1]);
  });

  it("gives what a spec says and no more", () => {
    const [forward] = worksOf({ kind: "attention", length: 4 });
    expect(forward).toMatchObject({ heads: 12, width: 64, length: 4, isCausal: false });
    expect(Object.keys(forward!)).not.toContain("dy");
    const spec = { kind: "attention", length: 4, isCausal: true, backward: true } as const;
    expect(worksOf(spec)[0]).toMatchObject({ isCausal: true, dy: expect.any(Float32Array) });
    const [training] = worksOf({ kind: "training" });
    if (training?.kind !== "training") throw new Error("no training");
    for (const step of training.steps) {
      expect(step).toHaveLength(12 * 65);
      expect(Math.max(...step)).toBeLessThan(65);
    }
    const [decode] = worksOf({ kind: "decode", past: 3 });
    expect(decode).toMatchObject({ past: 3, heads: 12, width: 64 });
    const bert = { kind: "encoder", model: "minilm-l6", batch: 2, length: 10 } as const;
    expect(worksOf(bert)[0]).toMatchObject({ keep: new Int32Array(20).fill(1) });
    expect(worksOf({ ...bert, padded: true })[0]).toMatchObject({ keep: keptTokens(2, 10) });
  });
});

describe("keptTokens", () => {
  it("pads the end of each row, of each by another number", () => {
    const rows = Array.from({ length: 8 }, (_, row) =>
      keptTokens(8, 128).subarray(row * 128, (row + 1) * 128),
    );
    const lengths = rows.map((row) => row.indexOf(0));
    expect(lengths).toEqual([102, 94, 86, 78, 70, 62, 54, 46]);
    for (const [row, length] of lengths.entries()) expect(rows[row]!.subarray(length)).not.toContain(1);
  });
});

describe("modelsOf", () => {
  it("names the models that must have been saved", () => {
    expect(modelsOf(linear)).toEqual([]);
    expect(modelsOf({ kind: "decode", past: 1 })).toEqual([["gpt2", 0]]);
    expect(modelsOf({ kind: "training" })).toEqual([["nanogpt-cpu", 0]]);
    expect(modelsOf({ kind: "encoder", model: "bert-base", batch: 1, length: 8 })).toEqual([
      ["bert-base", 0],
    ]);
    // 43 MB each, so that three leave the caches.
    expect(modelsOf({ kind: "encoder", model: "minilm-l6", batch: 1, length: 8 })).toEqual([
      ["minilm-l6", 0],
      ["minilm-l6", 1],
      ["minilm-l6", 2],
    ]);
  });
});
