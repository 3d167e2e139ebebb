import * as tf from "@tensorflow/tfjs-core";
import type { Tensor } from "@tensorflow/tfjs-core";
import { withoutTape } from "@heddle/core";
import type { Parameter } from "@heddle/core";
import type { Optimizer } from "./optimizer.ts";

/** What an optimizer keeps for one parameter. */
export interface ParameterState {
  readonly moments: readonly Tensor[];
  /** How often the parameter was changed. */
  readonly updates: number;
}

/** The moments of all parameters that were ever changed, by name. They belong to the run. */
export type OptimizerState = Map<string, ParameterState>;

/** Frees the moments. */
export function disposeState(state: OptimizerState): void {
  for (const { moments } of state.values()) tf.dispose([...moments]);
  state.clear();
}

/** Changes every parameter that has a gradient, which is multiplied by `factor` before. */
export function applyGradients(
  optimizer: Optimizer,
  state: OptimizerState,
  parameters: readonly Parameter[],
  gradients: readonly (Tensor | undefined)[],
  { factor, learningRate }: { readonly factor: number; readonly learningRate: number },
): void {
  const change = (parameter: Parameter, gradient: Tensor): void => {
    const { moments: old = optimizer.moments.map(() => tf.zeros([...parameter.shape])), updates = 0 } =
      state.get(parameter.name) ?? {};
    const { value, moments } = optimizer.update({
      parameter,
      gradient: factor === 1 ? gradient : tf.mul(gradient, factor),
      moments: old,
      update: updates + 1,
      learningRate,
    });
    parameter.replace(value);
    state.set(parameter.name, { moments: moments.map((moment) => tf.keep(moment)), updates: updates + 1 });
    tf.dispose([...old]);
  };
  withoutTape(() => {
    for (const [i, parameter] of parameters.entries()) {
      const gradient = gradients[i];
      if (gradient) tf.tidy(() => change(parameter, gradient));
    }
  });
}
