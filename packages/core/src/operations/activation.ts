import * as tf from "@tensorflow/tfjs-core";
import type { Tensor } from "@tensorflow/tfjs-core";
import { checkOneOf } from "../errors.ts";
import { defineOperation, run } from "../operation.ts";
import type { Operation } from "../operation.ts";
import { checkFloats } from "./tensors.ts";

/** Names of Hugging Face's `hidden_act`: `gelu` is exact (erf), `gelu_new` the tanh form of GPT-2. */
export type Activation = "gelu" | "gelu_new" | "relu" | "silu" | "tanh";

interface Formula {
  readonly value: (x: Tensor) => Tensor;
  readonly slope: (x: Tensor) => Tensor;
}

const SQRT_2_OVER_PI = Math.sqrt(2 / Math.PI);

/**
 * (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))) / 2, the factor of x in the tanh form, as a sigmoid: the same, exact
 * where tanh is near -1, and 15 times as fast on WASM.
 */
function geluFactor(x: Tensor): Tensor {
  const perX = tf.add(tf.mul(tf.mul(x, x), 2 * SQRT_2_OVER_PI * 0.044715), 2 * SQRT_2_OVER_PI);
  return tf.sigmoid(tf.mul(x, perX));
}

/** Activations and their derivatives. GELU: Hendrycks and Gimpel, https://arxiv.org/abs/1606.08415. */
const FORMULAS: Readonly<Record<Activation, Formula>> = {
  gelu: {
    value: (x) => tf.mul(tf.mul(x, 0.5), tf.add(tf.erf(tf.mul(x, Math.SQRT1_2)), 1)),
    slope: (x) => {
      const below = tf.mul(tf.add(tf.erf(tf.mul(x, Math.SQRT1_2)), 1), 0.5);
      const density = tf.mul(tf.exp(tf.mul(tf.mul(x, x), -0.5)), 1 / Math.sqrt(2 * Math.PI));
      return tf.add(below, tf.mul(x, density));
    },
  },
  gelu_new: {
    value: (x) => tf.mul(x, geluFactor(x)),
    slope: (x) => {
      const factor = geluFactor(x);
      const inner = tf.add(tf.mul(tf.mul(x, x), 6 * SQRT_2_OVER_PI * 0.044715), 2 * SQRT_2_OVER_PI);
      return tf.mul(factor, tf.add(tf.mul(tf.mul(x, tf.sub(1, factor)), inner), 1));
    },
  },
  relu: { value: (x) => tf.relu(x), slope: (x) => tf.cast(tf.greater(x, 0), "float32") },
  silu: {
    value: (x) => tf.mul(x, tf.sigmoid(x)),
    slope: (x) => {
      const s = tf.sigmoid(x);
      return tf.mul(s, tf.add(tf.mul(x, tf.sub(1, s)), 1));
    },
  },
  tanh: {
    value: (x) => tf.tanh(x),
    slope: (x) => {
      const t = tf.tanh(x);
      return tf.sub(1, tf.mul(t, t));
    },
  },
};

/** The names that `activation` and `linear` take. */
export const activations: readonly Activation[] = Object.keys(FORMULAS) as Activation[];

/** The activation as a composition of tfjs operations. */
export function applyActivation(kind: Activation, x: Tensor): Tensor {
  return FORMULAS[kind].value(x);
}

/** dy times the activation's derivative at `x`. */
export function activationGradient(kind: Activation, x: Tensor, dy: Tensor): Tensor {
  return tf.mul(dy, FORMULAS[kind].slope(x));
}

/** A call of `activation`. */
export interface ActivationCall {
  readonly x: Tensor;
  readonly kind: Activation;
}

/** The operation behind `activation`. */
export const activationOperation: Operation<ActivationCall> = defineOperation<ActivationCall>({
  name: "activation",
  tensors: ["x"],
  validate({ x, kind }) {
    checkFloats("activation: x", x);
    checkOneOf("activation: kind", kind, activations);
  },
  forward: ({ x, kind }) => ({ output: applyActivation(kind, x) }),
  gradient: ({ call: { x, kind }, dy }) => ({ x: () => activationGradient(kind, x, dy) }),
});

/** An activation, element by element. */
export function activation(call: ActivationCall): Tensor {
  return run(activationOperation, call);
}
