import * as tf from "@tensorflow/tfjs-core";
import type { AdamWCall } from "@heddle/core";
import { drawn } from "./drawn.ts";
import type { KernelCase } from "./test-kernel.ts";

const stepOf =
  (shape: readonly number[], options: Partial<AdamWCall>, scale = 1): (() => AdamWCall) =>
  () => ({
    value: drawn("value", shape),
    gradient: drawn("gradient", shape, { scale }),
    mean: drawn("mean", shape, { scale }),
    square: tf.tidy(() => tf.square(drawn("square", shape, { scale }))),
    step: 3,
    learningRate: 0.01,
    beta1: 0.9,
    beta2: 0.999,
    epsilon: 1e-8,
    weightDecay: 0.1,
    ...options,
  });

/** Calls of `adamwOperation` for the kernels of every backend. */
export const adamwCases: readonly KernelCase<AdamWCall>[] = [
  { name: "one value", make: stepOf([1], {}) },
  { name: "[7]", make: stepOf([7], { step: 1 }) },
  { name: "[65, 129]", make: stepOf([65, 129], { step: 1000 }) },
  { name: "in place", make: stepOf([4, 9], { inPlace: true }) },
  { name: "no decay", make: stepOf([33], { weightDecay: 0 }) },
  { name: "a decay that takes all", make: stepOf([33], { weightDecay: 100 }) },
  { name: "no running means", make: stepOf([10], { beta1: 0, beta2: 0 }) },
  { name: "gradients of 10,000", make: stepOf([10], {}, 1e4) },
  { name: "gradients whose squares are denormal", make: stepOf([10], {}, 1e-20) },
  {
    name: "the first step, a gradient of 0",
    make: () => {
      const call = stepOf([5], { step: 1 })();
      const zeros = tf.zeros([5]);
      return { ...call, gradient: zeros, mean: zeros, square: zeros };
    },
  },
].map((given) => ({ ...given, differentiable: false }));
