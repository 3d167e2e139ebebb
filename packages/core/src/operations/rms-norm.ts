import * as tf from "@tensorflow/tfjs-core";
import type { Tensor } from "@tensorflow/tfjs-core";
import { checkNumber } from "../errors.ts";
import { defineOperation, run } from "../operation.ts";
import type { Operation } from "../operation.ts";
import { checkFloats, checkFloatsOf, sharedGradient, sumRows } from "./tensors.ts";

/** A call of `rmsNorm`. */
export interface RmsNormCall {
  /** [..., D] */
  readonly x: Tensor;
  /** [..., D], added to x before. @default nothing */
  readonly residual?: Tensor;
  /** [D] */
  readonly weight: Tensor;
  /** Added to the mean square. @default 1e-6 */
  readonly epsilon?: number;
}

/** The operation behind `rmsNorm`. */
export const rmsNormOperation: Operation<RmsNormCall> = defineOperation<RmsNormCall>({
  name: "rmsNorm",
  tensors: ["x", "residual", "weight"],
  needs: ["weight"],
  validate({ x, residual, weight, epsilon = 1e-6 }) {
    checkFloats("rmsNorm: x", x, 1);
    if (residual) checkFloatsOf("rmsNorm: residual", residual, x.shape);
    checkFloatsOf("rmsNorm: weight", weight, [x.shape.at(-1)!]);
    checkNumber("rmsNorm: epsilon", epsilon, { min: 0 });
  },
  forward({ x, residual, weight, epsilon = 1e-6 }) {
    const sum = residual ? tf.add(x, residual) : x;
    const scale = tf.rsqrt(tf.add(tf.mean(tf.mul(sum, sum), -1, true), epsilon));
    const normal = tf.mul(sum, scale);
    return { output: tf.mul(normal, weight), saved: [normal, scale] };
  },
  gradient({ call: { weight }, saved, dy }) {
    const [normal, scale] = saved as [Tensor, Tensor];
    const ofSum = sharedGradient(() => {
      const d = tf.mul(dy, weight);
      return tf.mul(tf.sub(d, tf.mul(normal, tf.mean(tf.mul(d, normal), -1, true))), scale);
    });
    return {
      x: ofSum,
      residual: ofSum,
      weight: () => sumRows(tf.mul(dy, normal)),
    };
  },
});

/** Root mean square normalisation of x, or of x + residual, over the last dimension: https://arxiv.org/abs/1910.07467. */
export function rmsNorm(call: RmsNormCall): Tensor {
  return run(rmsNormOperation, call);
}
