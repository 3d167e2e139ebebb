import * as tf from "@tensorflow/tfjs-core";
import type { Tensor } from "@tensorflow/tfjs-core";
import { checkNumber } from "../errors.ts";
import { defineOperation, run } from "../operation.ts";
import type { Operation } from "../operation.ts";
import { checkFloats, checkFloatsOf, sharedGradient, sumRows } from "./tensors.ts";

/** A call of `layerNorm`. */
export interface LayerNormCall {
  /** [..., D] */
  readonly x: Tensor;
  /** [..., D], added to x before. @default nothing */
  readonly residual?: Tensor;
  /** [D] */
  readonly weight: Tensor;
  /** [D] */
  readonly bias: Tensor;
  /** Added to the variance. @default 1e-5 */
  readonly epsilon?: number;
}

/** The operation behind `layerNorm`. */
export const layerNormOperation: Operation<LayerNormCall> = defineOperation<LayerNormCall>({
  name: "layerNorm",
  tensors: ["x", "residual", "weight", "bias"],
  needs: ["weight"],
  validate({ x, residual, weight, bias, epsilon = 1e-5 }) {
    checkFloats("layerNorm: x", x, 1);
    if (residual) checkFloatsOf("layerNorm: residual", residual, x.shape);
    checkFloatsOf("layerNorm: weight", weight, [x.shape.at(-1)!]);
    checkFloatsOf("layerNorm: bias", bias, [x.shape.at(-1)!]);
    checkNumber("layerNorm: epsilon", epsilon, { min: 0 });
  },
  forward({ x, residual, weight, bias, epsilon = 1e-5 }) {
    const sum = residual ? tf.add(x, residual) : x;
    const centred = tf.sub(sum, tf.mean(sum, -1, true));
    const scale = tf.rsqrt(tf.add(tf.mean(tf.mul(centred, centred), -1, true), epsilon));
    const normal = tf.mul(centred, scale);
    return { output: tf.add(tf.mul(normal, weight), bias), saved: [normal, scale] };
  },
  gradient({ call: { weight }, saved, dy }) {
    const [normal, scale] = saved as [Tensor, Tensor];
    const ofSum = sharedGradient(() => {
      const d = tf.mul(dy, weight);
      const along = tf.mul(normal, tf.mean(tf.mul(d, normal), -1, true));
      return tf.mul(tf.sub(tf.sub(d, tf.mean(d, -1, true)), along), scale);
    });
    return {
      x: ofSum,
      residual: ofSum,
      weight: () => sumRows(tf.mul(dy, normal)),
      bias: () => sumRows(dy),
    };
  },
});

/** Layer normalisation of x, or of x + residual, over the last dimension: https://arxiv.org/abs/1607.06450. */
export function layerNorm(call: LayerNormCall): Tensor {
  return run(layerNormOperation, call);
}
