import { describe, expect, it } from "vitest";
import { openField, outcomeText } from "./race.ts";

describe("openField", () => {
  it("times contenders in processes of their own, and says why one is not among them", async () => {
    const said: string[] = [];
    const field = await openField(
      {
        ours: { who: "heddle", threads: 1 },
        tfjs: { who: "tfjs", threads: 1 },
        "tfjs, 2 threads": { who: "tfjs", threads: 2 },
        peak: { who: "peak", threads: 1 },
      },
      { progress: (text) => said.push(text) },
    );
    const spec = { kind: "linear", rows: 3, widths: [8, 4] } as const;
    const outcomes = await field.race("small", spec, { repeats: 2, warmUp: 1 });
    expect(outcomes).toEqual({
      ours: { median: expect.any(Number), spread: expect.any(Number), heap: expect.any(Number) },
      tfjs: { median: expect.any(Number), spread: expect.any(Number) },
      "tfjs, 2 threads": { error: "tfjs must run on 1 thread in Node, got 2" },
      peak: { median: expect.any(Number), spread: expect.any(Number), amount: expect.any(Number) },
    });
    const pattern = { kind: "attention", length: 64, pattern: "strided 64" } as const;
    const sparse = await field.race("sparse", pattern, { who: ["ours", "tfjs"], repeats: 1, warmUp: 0 });
    expect(sparse).toMatchObject({
      ours: { median: expect.any(Number) },
      tfjs: { error: "tfjs must have attention, got no form of it here" },
    });
    // Its values would differ, but it computes something else.
    const specs = { tfjs: { ...pattern, pattern: undefined } };
    const dense = await field.race("sparse", pattern, {
      who: ["ours", "tfjs"],
      specs,
      repeats: 1,
      warmUp: 0,
    });
    expect(dense).toMatchObject({ tfjs: { median: expect.any(Number) } });
    await field.close();
    expect(said.at(-1)).toMatch(/^ours: WebAssembly .*1 thread/);
  });
});

describe("outcomeText", () => {
  it("gives the form, the time and half the distance of the quartiles, or the reason", () => {
    expect(outcomeText({ median: 123.4, spread: 0.1, form: "fused" })).toBe("[fused] 123 ms ±5 %");
    expect(outcomeText({ median: 12.34, spread: 0 })).toBe("12.3 ms ±0 %");
    expect(outcomeText({ median: 1.234, spread: 0 })).toBe("1.23 ms ±0 %");
    expect(outcomeText({ error: "no" })).toBe("failed: no");
  });
});
