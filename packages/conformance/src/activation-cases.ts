import * as tf from "@tensorflow/tfjs-core";
import { activations, randomStream } from "@heddle/core";
import type { ActivationCall } from "@heddle/core";
import type { KernelCase } from "./test-kernel.ts";

/** Values around 0 of every sign and size that float32 has, up to 10,000. */
const extremes = Float32Array.of(
  ...[0, 1e-45, 1e-40, 1e-30, 1e-7, 1e-3, 0.3, 0.7, 5, 9, 12, 50, 87, 88, 89, 200, 1e4].flatMap((x) => [
    x,
    -x,
  ]),
);

const inputs: readonly {
  readonly name: string;
  readonly values: () => Float32Array;
  readonly shape: number[];
}[] = [
  ...[[0, 3], [1], [2], [3, 1], [3, 3], [40, 103], [2, 64, 65]].map((shape) => ({
    name: `[${shape.join(", ")}]`,
    shape,
    values: () =>
      randomStream({ seed: 13, path: "x" })
        .normals(shape.reduce((a, b) => a * b, 1))
        .map((x) => 2 * x),
  })),
  { name: "extreme values", shape: [extremes.length], values: () => extremes.slice() },
];

/** Calls of `activationOperation` for the kernels of every backend. */
export const activationCases: readonly KernelCase<ActivationCall>[] = activations.flatMap((kind) =>
  inputs.map(({ name, shape, values }) => ({
    name: `${kind}, ${name}`,
    make: () => ({ x: tf.tensor(values(), shape), kind }),
  })),
);
