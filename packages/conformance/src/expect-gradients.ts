import * as tf from "@tensorflow/tfjs-core";
import type { Tensor } from "@tensorflow/tfjs-core";
import { createParameter, differentiate, randomStream } from "@heddle/core";
import type { Parameter } from "@heddle/core";
import { expect } from "vitest";

/** What a gradient is checked with. */
export interface DirectionRule {
  /** Length of a step along the direction. @default 0.02 */
  readonly step?: number;
  /** Greatest difference, as a share of the derivative's size (at least 1). @default 1e-3 */
  readonly within?: number;
}

/** A parameter with drawn normal values, to stand for an input whose gradient is checked. The caller disposes it. */
export function drawParameter(name: string, shape: readonly number[], seed = 6): Parameter {
  const size = shape.reduce((product, length) => product * length, 1);
  return createParameter(name, shape, () => randomStream({ seed, path: name }).normals(size));
}

/** A drawn direction of length 1. */
function direction(size: number, path: string): Float32Array {
  const values = randomStream({ seed: 17, path }).normals(size);
  const length = Math.hypot(...values);
  return values.map((value) => value / length);
}

function inner(a: ArrayLike<number>, b: ArrayLike<number>): number {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += a[i]! * b[i]!;
  return sum;
}

/**
 * Asserts that the gradients of `f` by each parameter, under a drawn cotangent, agree with the fourth-order difference
 * of its values along a drawn direction, one parameter after the other. Parameters that have no influence are an error.
 * `f` runs on the active backend, in float32; the parameters get their values back, and what is made here is freed.
 */
export async function expectGradients(
  f: () => Tensor,
  parameters: readonly Parameter[],
  { step = 0.02, within = 1e-3 }: DirectionRule = {},
): Promise<void> {
  const probe = tf.tidy(f);
  const weights = randomStream({ seed: 17, path: "cotangent" }).normals(probe.size);
  const cotangent = tf.tensor(weights, probe.shape);
  probe.dispose();
  const { value, gradients } = differentiate(f, parameters, cotangent);
  const slopes = await Promise.all(gradients.map((gradient) => gradient?.data()));
  const shapes = gradients.map((gradient) => gradient?.shape);
  tf.dispose([cotangent, value, ...gradients.filter((gradient) => gradient !== null)]);
  for (const [i, parameter] of parameters.entries()) {
    const { name, shape, size } = parameter;
    expect(shapes[i], `shape of the gradient of ${name}`).toEqual(shape);
    const own = Float32Array.from(await parameter.tensor().data());
    const along = direction(size, name);
    const at = async (steps: number): Promise<number> => {
      parameter.assign(own.map((value, j) => value + steps * step * along[j]!));
      const y = tf.tidy(f);
      const found = inner(await y.data(), weights);
      y.dispose();
      return found;
    };
    const difference =
      (8 * ((await at(1)) - (await at(-1))) - ((await at(2)) - (await at(-2)))) / (12 * step);
    parameter.assign(own);
    const error = Math.abs(inner(slopes[i]!, along) - difference) / Math.max(1, Math.abs(difference));
    expect(error, `gradient of ${name}`).toBeLessThan(within);
  }
}
