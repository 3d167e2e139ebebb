import * as tf from "@tensorflow/tfjs-core";
import type { Tensor } from "@tensorflow/tfjs-core";
import type { LayerNormCall, RmsNormCall } from "@heddle/core";
import { drawn } from "./drawn.ts";
import type { KernelCase } from "./test-kernel.ts";

const shapes: readonly (readonly number[])[] = [
  [1],
  [3, 1],
  [5, 3],
  [2, 7, 31],
  [1, 64],
  [40, 100],
  [17, 768],
];

interface NormInput {
  readonly name: string;
  readonly x: () => Tensor;
  readonly epsilon?: number;
}

const inputs: readonly NormInput[] = [
  ...shapes.map((shape) => ({ name: `[${shape.join(", ")}]`, x: () => drawn("x", shape) })),
  { name: "an epsilon", x: () => drawn("x", [3, 20]), epsilon: 0.5 },
  { name: "a mean far from 0", x: () => tf.add(drawn("x", [4, 50]), 10) },
  { name: "large values", x: () => tf.mul(drawn("x", [4, 50]), 1e4) },
  { name: "a row of one value", x: () => tf.mul(tf.ones([2, 24]), 3) },
];

/** Calls of `layerNormOperation` for the kernels of every backend. */
export const layerNormCases: readonly KernelCase<LayerNormCall>[] = inputs.flatMap(({ name, x, epsilon }) =>
  [false, true].map((residual) => ({
    name: residual ? `${name}, residual` : name,
    make: () => {
      const input = x();
      const width = input.shape.at(-1)!;
      const call = { x: input, weight: drawn("weight", [width]), bias: drawn("bias", [width]) };
      return {
        ...call,
        ...(residual && { residual: drawn("residual", input.shape) }),
        ...(epsilon !== undefined && { epsilon }),
      };
    },
  })),
);

/** Calls of `rmsNormOperation` for the kernels of every backend. */
export const rmsNormCases: readonly KernelCase<RmsNormCall>[] = layerNormCases.map(({ name, make }) => ({
  name,
  make: () => {
    const { bias: _, ...call } = make();
    return call;
  },
}));
