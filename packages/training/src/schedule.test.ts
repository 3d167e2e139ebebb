import { describe, expect, it } from "vitest";
import { constant, warmupCosine } from "./index.ts";

describe("constant", () => {
  it("is the same in every step", () => {
    expect([1, 7, 1e6].map(constant(0.3).at)).toEqual([0.3, 0.3, 0.3]);
    expect(() => constant(Number.NaN)).toThrow("learningRate must be a number >= 0, got NaN");
  });
});

describe("warmupCosine", () => {
  const schedule = warmupCosine({ peak: 1e-3, warmup: 100, steps: 2000, floor: 1e-4 });

  // get_lr(step - 1) of nanoGPT's train.py with learning_rate 1e-3, warmup_iters 100, lr_decay_iters 2000, min_lr 1e-4.
  it.each([
    [1, 9.900990099009901e-6],
    [50, 0.0004950495049504951],
    [100, 0.0009900990099009901],
    [101, 0.001],
    [1051, 0.00055],
    [2000, 1.0000061514140841e-4],
    [2001, 0.0001],
    [5000, 0.0001],
  ])("step %i: %d, as nanoGPT's get_lr", (step, rate) => {
    expect(schedule.at(step)).toBeCloseTo(rate, 15);
  });

  it("starts at the peak without warm-up and ends at 0 without a floor", () => {
    const plain = warmupCosine({ peak: 2, steps: 4 });
    const rates = [1, 2, 3, 4, 5].map(plain.at);
    [2, 1 + Math.SQRT1_2, 1, 1 - Math.SQRT1_2, 0].forEach((rate, i) =>
      expect(rates[i]).toBeCloseTo(rate, 12),
    );
  });

  it.each([
    [{ peak: -1, steps: 2 }, "warmupCosine: peak must be a number >= 0, got -1"],
    [{ peak: 1, warmup: 2, steps: 2 }, "warmupCosine: steps must be an integer >= 3, got 2"],
    [{ peak: 1, steps: 2, floor: 2 }, "warmupCosine: floor must be a number from 0 to 1, got 2"],
  ])("rejects %o", (options, message) => {
    expect(() => warmupCosine(options)).toThrow(message);
  });
});
