import { describe, expect, it } from "vitest";
import leaksFigure from "./leaks.ts";
import { killAndResume } from "./resume.ts";

describe("leaksFigure", () => {
  it("finds nothing left by any family, however a run ends", async () => {
    const figures = await leaksFigure({ progress: () => undefined });
    expect(figures).toHaveLength(5);
    for (const { figure, measured, held } of figures) expect(held, `${figure}: ${measured}`).toBe(true);
  });
});

describe("killAndResume", () => {
  it("finds the same losses after two kills", async () => {
    const result = await killAndResume({ kills: 2, seed: 1 });
    expect(result).toMatchObject({ kills: 2, steps: 18, different: 0, sameFiles: true });
    expect(result.untold).toBeLessThanOrEqual(2);
    expect(result.compared).toBeGreaterThanOrEqual(18 - result.untold);
  });
});
