import { checkFields, checkInteger, checkNumber } from "@heddle/core";

/** A learning rate that depends on the step. */
export interface Schedule {
  readonly name: string;
  /** What it depends on, as JSON; a resumed run must have the same. */
  readonly options: Readonly<Record<string, unknown>>;
  /** @param step From 1. */
  at(step: number): number;
}

/** The same rate in every step. */
export function constant(rate: number): Schedule {
  checkNumber("learningRate", rate, { min: 0 });
  return { name: "constant", options: { rate }, at: () => rate };
}

export interface WarmupCosineOptions {
  /** Greatest rate, reached in step warmup + 1. */
  readonly peak: number;
  /** Steps of linear rise before it. @default 0 */
  readonly warmup?: number;
  /** The fall ends after this step, counted from the first of the rise. */
  readonly steps: number;
  /** The rate from then on. @default 0 */
  readonly floor?: number;
}

/** Linear rise, then half a cosine down: https://arxiv.org/abs/1608.03983 §3 without restarts, numbered as in nanoGPT. */
export function warmupCosine(options: WarmupCosineOptions): Schedule {
  checkFields("warmupCosine: options", options, ["peak", "warmup", "steps", "floor"]);
  const { peak, warmup = 0, steps, floor = 0 } = options;
  checkNumber("warmupCosine: peak", peak, { min: 0 });
  checkInteger("warmupCosine: warmup", warmup, { min: 0 });
  checkInteger("warmupCosine: steps", steps, { min: warmup + 1 });
  checkNumber("warmupCosine: floor", floor, { min: 0, max: peak });
  return {
    name: "warmup-cosine",
    options: { peak, warmup, steps, floor },
    at(step) {
      if (step <= warmup) return (peak * step) / (warmup + 1);
      if (step > steps) return floor;
      const progress = (step - 1 - warmup) / (steps - warmup);
      return floor + ((peak - floor) * (1 + Math.cos(Math.PI * progress))) / 2;
    },
  };
}
