import { describe, expect, it } from "vitest";
import { heapFigure } from "./longformer.ts";
import { crossover } from "./patterns.ts";
import type { Outcomes } from "./race.ts";
import { probeFigure, rateFigure, ratioFigure } from "./rows.ts";

const MB = 2 ** 20;
const outcomes: Outcomes = {
  wide: { median: 2, spread: 0.1, heap: { before: 100 * MB, after: 110 * MB } },
  web: { median: 5, spread: 0.02, form: "fused", heap: { before: 100 * MB, after: 150 * MB } },
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

  it("compares by how much heaps grew", () => {
    expect(heapFigure(outcomes, { ...row, atMost: 0.25 })).toEqual({
      figure: "longformer, heap of wide against web",
      target: "<= 0.25x",
      measured: "0.20x (wide grew by 10 MB to 110 MB, web grew by 50 MB to 150 MB)",
      held: true,
    });
    expect(heapFigure(outcomes, { ...row, atMost: 0.19 }).held).toBe(false);
  });

  it("does not hold where a heap is not known", () => {
    expect(heapFigure(outcomes, { ...row, theirs: "broken", atMost: 1 })).toMatchObject({
      measured: "wide grew by 10 MB to 110 MB, broken: none known",
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
