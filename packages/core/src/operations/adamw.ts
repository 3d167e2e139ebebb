import * as tf from "@tensorflow/tfjs-core";
import type { Tensor } from "@tensorflow/tfjs-core";
import { checkInteger, checkNumber } from "../errors.ts";
import { defineOperation, run } from "../operation.ts";
import type { Operation } from "../operation.ts";
import { checkFloats, checkFloatsOf } from "./tensors.ts";

/** A call of `adamwStep`; all tensors have one shape. */
export interface AdamWCall {
  readonly value: Tensor;
  readonly gradient: Tensor;
  /** Running mean of the gradients; zeros at first. */
  readonly mean: Tensor;
  /** Running mean of their squares; zeros at first. */
  readonly square: Tensor;
  /** Number of this step, from 1. */
  readonly step: number;
  readonly learningRate: number;
  readonly beta1: number;
  readonly beta2: number;
  /** Added to the root of the mean square, as PyTorch does. */
  readonly epsilon: number;
  /** Share of the value that a learning rate of 1 takes off in each step. */
  readonly weightDecay: number;
  /**
   * Gives up value, mean and square: a kernel may write the new ones over those that nothing else shares. They are then
   * to be disposed, not read. @default false
   */
  readonly inPlace?: boolean;
}

/** The operation behind `adamwStep`. Its results are the new value, mean and square. */
export const adamwOperation: Operation<AdamWCall, Tensor[]> = defineOperation<AdamWCall, Tensor[]>({
  name: "adamwStep",
  tensors: ["value", "gradient", "mean", "square"],
  needs: [],
  validate({ value, gradient, mean, square, step, ...rates }) {
    checkFloats("adamwStep: value", value);
    checkFloatsOf("adamwStep: gradient", gradient, value.shape);
    checkFloatsOf("adamwStep: mean", mean, value.shape);
    checkFloatsOf("adamwStep: square", square, value.shape);
    checkInteger("adamwStep: step", step, { min: 1 });
    checkNumber("adamwStep: learningRate", rates.learningRate, { min: 0 });
    checkNumber("adamwStep: beta1", rates.beta1, { min: 0, max: 1 - 1e-9 });
    checkNumber("adamwStep: beta2", rates.beta2, { min: 0, max: 1 - 1e-9 });
    checkNumber("adamwStep: epsilon", rates.epsilon, { min: 0 });
    checkNumber("adamwStep: weightDecay", rates.weightDecay, { min: 0 });
  },
  forward({ value, gradient, mean, square, step, learningRate, beta1, beta2, epsilon, weightDecay }) {
    const newMean = tf.add(tf.mul(mean, beta1), tf.mul(gradient, 1 - beta1));
    const newSquare = tf.add(tf.mul(square, beta2), tf.mul(tf.mul(gradient, gradient), 1 - beta2));
    const root = tf.add(tf.div(tf.sqrt(newSquare), Math.sqrt(1 - beta2 ** step)), epsilon);
    const update = tf.mul(tf.div(newMean, root), learningRate / (1 - beta1 ** step));
    return { output: [tf.sub(tf.mul(value, 1 - learningRate * weightDecay), update), newMean, newSquare] };
  },
});

/**
 * One step of AdamW, https://arxiv.org/abs/1711.05101, in PyTorch's form: new tensors [value, mean, square], which have
 * the memory of the old where those are given up.
 */
export function adamwStep(call: AdamWCall): [Tensor, Tensor, Tensor] {
  return run(adamwOperation, call) as [Tensor, Tensor, Tensor];
}
