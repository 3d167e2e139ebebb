import type { Tensor } from "@tensorflow/tfjs-core";
import { adamwStep, checkFields, checkNumber, reject } from "@heddle/core";
import type { Parameter } from "@heddle/core";
import { constant } from "./schedule.ts";
import type { Schedule } from "./schedule.ts";

/** One change of one parameter. All tensors have its shape. */
export interface UpdateCall {
  readonly parameter: Parameter;
  readonly gradient: Tensor;
  /** In the order of `Optimizer.moments`. */
  readonly moments: readonly Tensor[];
  /** Number of this change of this parameter, from 1. */
  readonly update: number;
  readonly learningRate: number;
}

/** A rule by which gradients change parameters. It keeps no state: the run owns the moments. */
export interface Optimizer {
  readonly name: string;
  /** What it depends on besides the learning rate, as JSON; a resumed run must have the same. */
  readonly options: Readonly<Record<string, unknown>>;
  readonly learningRate: Schedule;
  /** Names of the tensors that it keeps for each parameter, zeros at first. */
  readonly moments: readonly string[];
  /**
   * Gives the new value and the new moments, as new tensors, which may have taken the memory of the old: those are not
   * to be read any more.
   */
  update(call: UpdateCall): { readonly value: Tensor; readonly moments: readonly Tensor[] };
}

export interface AdamWOptions {
  readonly learningRate: number | Schedule;
  /** Decay of the running mean of gradients. @default 0.9 */
  readonly beta1?: number;
  /** Decay of the running mean of their squares. @default 0.999 */
  readonly beta2?: number;
  /** @default 1e-8 */
  readonly epsilon?: number;
  /** Share of the values that a learning rate of 1 takes off; norms and biases (one dimension) have none. @default 0.01 */
  readonly weightDecay?: number;
}

/**
 * AdamW, https://arxiv.org/abs/1711.05101, in PyTorch's form and with its defaults.
 * @throws HeddleError for an option that there is not, a rate that is negative or a decay outside [0, 1).
 */
export function adamw(options: AdamWOptions): Optimizer {
  checkFields("adamw: options", options, ["learningRate", "beta1", "beta2", "epsilon", "weightDecay"]);
  const { learningRate, beta1 = 0.9, beta2 = 0.999, epsilon = 1e-8, weightDecay = 0.01 } = options;
  if (typeof learningRate !== "number" && typeof learningRate?.at !== "function")
    reject(
      "adamw: learningRate",
      "be a number or a schedule, warmupCosine({ peak, steps }) for example",
      learningRate,
    );
  checkNumber("adamw: beta1", beta1, { min: 0, max: 1 - 1e-9 });
  checkNumber("adamw: beta2", beta2, { min: 0, max: 1 - 1e-9 });
  checkNumber("adamw: epsilon", epsilon, { min: 0 });
  checkNumber("adamw: weightDecay", weightDecay, { min: 0 });
  return {
    name: "adamw",
    options: { beta1, beta2, epsilon, weightDecay },
    learningRate: typeof learningRate === "number" ? constant(learningRate) : learningRate,
    // PyTorch's names.
    moments: ["exp_avg", "exp_avg_sq"],
    update({ parameter, gradient, moments, update, learningRate: rate }) {
      const [value, mean, square] = adamwStep({
        value: parameter.tensor(),
        gradient,
        mean: moments[0]!,
        square: moments[1]!,
        step: update,
        learningRate: rate,
        beta1,
        beta2,
        epsilon,
        weightDecay: parameter.shape.length > 1 ? weightDecay : 0,
        inPlace: true,
      });
      return { value, moments: [mean, square] };
    },
  };
}
