import { describe, expect, it } from "vitest";
import { heapFigure } from "./longformer.ts";
import { crossover } from "./patterns.ts";
import type { Outcomes } from "./race.ts";
import { probeFigure, rateFigure, ratioFigure } from "./rows.ts";

const MB = 2 ** 20;
const outcomes: Outcomes = {
  wide: { median: 2, spread: 0.1 },
  web: { median: 5, spread: 0.02, form: "fused" },
  broken: { error: "out of memory" },
  peak: { median: 10, spread: 0, amount: 1e9 },
};

describe("ratioFigure", () => {
  const row = { figure: "linear", ours: "wide", theirs: "web" };

  it("holds from its target on", () => {
    expect(ratioFigure(outcomes, { ...row, atLeast: 2.5 })).toEqual({
      figure: "linear, wide against web",
      target: ">= 2.5x web",
      measured: "2.50x (wide 2.00 ms ±5 %, web [fused] 5.00 ms ±1 %)",
      held: true,
    });
    expect(ratioFigure(outcomes, { ...row, atLeast: 2.6 }).held).toBe(false);
    expect(ratioFigure(outcomes, row)).toMatchObject({ target: "printed", held: true });
  });

  it("says why there is no ratio", () => {
    const absent = { ...row, theirs: "broken" };
    expect(ratioFigure(outcomes, { ...absent, atLeast: 1 })).toEqual({
      figure: "linear, wide against broken",
      target: ">= 1x broken",
      measured: "wide 2.00 ms ±5 %, broken failed: out of memory",
      held: false,
    });
    expect(ratioFigure(outcomes, absent).held).toBe(true);
    expect(ratioFigure(outcomes, { ...row, ours: "broken" }).held).toBe(false);
  });
});

describe("rateFigure", () => {
  const row = { figure: "linear", ours: "wide", amount: 0.18, unit: "GFLOP/s", probe: "peak" } as const;

  it("gives the share of what the machine can do", () => {
    expect(rateFigure(outcomes, { ...row, atLeast: 0.9 })).toEqual({
      figure: "linear, wide against the peak",
      target: ">= 90 %",
      measured: "90 % (90.0 of 100.0 GFLOP/s, 2.00 ms ±5 %)",
      held: true,
    });
    expect(rateFigure(outcomes, { ...row, atLeast: 0.91 }).held).toBe(false);
  });

  it("says who failed", () => {
    expect(rateFigure(outcomes, { ...row, probe: "broken", atLeast: 0.9 })).toMatchObject({
      measured: "wide 2.00 ms ±5 %, broken failed: out of memory",
      held: false,
    });
    expect(rateFigure(outcomes, { ...row, ours: "broken", atLeast: 0.9 }).held).toBe(false);
  });
});

describe("probeFigure", () => {
  it("gives the rate", () => {
    const row = { figure: "peak", unit: "GFLOP/s" } as const;
    expect(probeFigure(outcomes, { ...row, probe: "peak" })).toMatchObject({
      measured: "100.0 GFLOP/s",
      held: true,
    });
    expect(probeFigure(outcomes, { ...row, probe: "broken" }).held).toBe(false);
  });
});

describe("heapFigure", () => {
  const row = { figure: "longformer", ours: "wide", theirs: "web" };
  const heaps = (wide: number, web: number): Outcomes => ({
    wide: { median: 1, spread: 0, heap: wide * MB },
    web: { median: 1, spread: 0, heap: web * MB },
    broken: { error: "out of memory" },
  });
  const few = heaps(100, 100);

  it("compares by how much heaps grew", () => {
    expect(heapFigure(few, heaps(110, 150), { ...row, atMost: 0.25 })).toEqual({
      figure: "longformer, heap of wide against web",
      target: "<= 0.25x",
      measured: "0.20x (wide 100 MB to 110 MB, web 100 MB to 150 MB)",
      held: true,
    });
    expect(heapFigure(few, heaps(110, 150), { ...row, atMost: 0.19 }).held).toBe(false);
  });

  it("has no ratio to a heap that did not grow, or is not known", () => {
    expect(heapFigure(few, heaps(110, 100), { ...row, atMost: 1 })).toMatchObject({
      measured: "wide 100 MB to 110 MB, web 100 MB to 100 MB",
      held: false,
    });
    expect(heapFigure(few, heaps(100, 100), { ...row, atMost: 1 }).held).toBe(true);
    expect(heapFigure(few, heaps(110, 150), { ...row, theirs: "broken", atMost: 1 })).toMatchObject({
      measured: "wide 100 MB to 110 MB, broken not known",
      held: false,
    });
  });
});

describe("crossover", () => {
  const at = (sparse: number, dense: number): Outcomes => ({
    window: { median: sparse, spread: 0 },
    "our dense": { median: dense, spread: 0 },
  });

  it("is the length from which on a pattern stays faster", () => {
    const lengths = [
      [128, at(1, 2)],
      [256, at(3, 2)],
      [512, at(3, 4)],
      [1024, at(3, 8)],
    ] as const;
    expect(crossover(new Map(lengths), "window")).toBe(512);
    expect(crossover(new Map(lengths.slice(0, 2)), "window")).toBeUndefined();
    expect(crossover(new Map([...lengths, [2048, { ...at(1, 2), window: { error: "no" } }]]), "window")).toBe(
      undefined,
    );
  });
});
