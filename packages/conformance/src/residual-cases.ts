import * as tf from "@tensorflow/tfjs-core";
import type { Tensor } from "@tensorflow/tfjs-core";
import { randomStream } from "@heddle/core";
import type { ResidualCall } from "@heddle/core";
import type { KernelCase } from "./test-kernel.ts";

const drawn = (path: string, shape: readonly number[]): Tensor =>
  tf.tensor(randomStream({ seed: 18, path }).normals(shape.reduce((a, b) => a * b, 1)), [...shape]);

const shapes: readonly (readonly [x: readonly number[], y: readonly number[]])[] = [
  [[], []],
  [[7], [7]],
  [
    [3, 5000],
    [3, 5000],
  ],
  [[2, 3, 5], [5]],
  [
    [2, 3, 5],
    [3, 5],
  ],
  [[4, 1, 5], [5]],
  [
    [2, 3, 5],
    [2, 1, 5],
  ],
  [
    [2, 3, 5, 4],
    [2, 1, 1, 4],
  ],
  [
    [2, 3, 5],
    [2, 3, 1],
  ],
  [[2, 3, 5], []],
  [
    [2, 1, 5],
    [1, 5],
  ],
  [
    [60, 129],
    [1, 129],
  ],
];

/** Calls of `residualOperation` for the kernels of every backend. */
export const residualCases: readonly KernelCase<ResidualCall>[] = shapes.map(([x, y]) => ({
  name: `[${x.join(", ")}] + [${y.join(", ")}]`,
  make: () => ({ x: drawn("x", x), y: drawn("y", y) }),
}));
