import * as tf from "@tensorflow/tfjs-core";
import type { Tensor } from "@tensorflow/tfjs-core";
import { HeddleError, differentiate } from "@heddle/core";
import type { Parameter } from "@heddle/core";

/** A part of a step's batch. */
export interface MicroBatch {
  /** Its share of the step's loss; the shares of a step add up to 1. */
  readonly share: number;
  /** Mean loss of this part. */
  readonly loss: () => Tensor;
}

/** What a step's batch gives; the caller disposes it. */
export interface StepGradients {
  /** Scalar. */
  readonly loss: Tensor;
  /** By parameter; undefined where the loss does not depend on it. */
  readonly gradients: readonly (Tensor | undefined)[];
  /** Euclidean norm of all gradients together, a scalar. */
  readonly norm: Tensor;
}

/** The root of the sum of all squares. Rows are summed first, since a long sum of small float32 numbers loses them. */
export function globalNorm(gradients: readonly Tensor[]): Tensor {
  const squares = gradients.map((gradient) => {
    const square = tf.mul(gradient, gradient);
    return tf.sum(gradient.shape.length > 1 ? tf.sum(square, -1) : square);
  });
  return tf.sqrt(tf.sum(tf.stack(squares)));
}

function added(sum: Tensor | undefined, part: Tensor | undefined): Tensor | undefined {
  if (!sum || !part) return sum ?? part;
  const both = tf.add(sum, part);
  tf.dispose([sum, part]);
  return both;
}

/** The loss of all parts and its gradients, part by part. Nothing stays allocated when a part throws. */
export function stepGradients(parameters: readonly Parameter[], parts: readonly MicroBatch[]): StepGradients {
  return tf.tidy(() => {
    let loss: Tensor | undefined;
    let gradients: (Tensor | undefined)[] = parameters.map(() => undefined);
    for (const part of parts) {
      const whole = part.share === 1;
      const found = differentiate(part.loss, parameters, whole ? undefined : tf.scalar(part.share));
      loss = added(loss, whole ? found.value : tf.mul(found.value, part.share));
      gradients = gradients.map((sum, i) => added(sum, found.gradients[i] ?? undefined));
    }
    const present = gradients.filter((gradient) => gradient !== undefined);
    if (!loss || present.length === 0)
      throw new HeddleError(
        "invalid-argument",
        "train: loss must depend on a trainable parameter, got one that depends on none",
      );
    return { loss, gradients, norm: globalNorm(present) };
  });
}

/** Name of the first parameter whose gradient holds NaN or an infinity. */
export async function firstNotFinite(
  parameters: readonly Parameter[],
  gradients: readonly (Tensor | undefined)[],
): Promise<string | undefined> {
  for (const [i, gradient] of gradients.entries())
    if (gradient && !(await gradient.data()).every(Number.isFinite)) return parameters[i]!.name;
  return undefined;
}

/**
 * The factor that brings gradients of a norm down to `clip`, as torch.nn.utils.clip_grad_norm_; 1 when they are below.
 * https://arxiv.org/abs/1211.5063 §3.2.
 */
export function clipFactor(norm: number, clip: number | undefined): number {
  return clip === undefined ? 1 : Math.min(1, clip / (norm + 1e-6));
}
