import * as tf from "@tensorflow/tfjs-core";
import type { Tensor } from "@tensorflow/tfjs-core";
import { randomStream } from "@heddle/core";
import type { CrossEntropyCall } from "@heddle/core";
import { drawn } from "./drawn.ts";
import type { KernelCase } from "./test-kernel.ts";

/** A label for each of so many rows. */
const labelled = (rows: number, classes: number): Int32Array =>
  Int32Array.from({ length: rows }, (_, row) =>
    randomStream({ seed: 15, path: "labels" }).integer(row, classes),
  );

const shapes: readonly (readonly number[])[] = [[1], [5], [1, 3], [4, 7], [2, 3, 8], [3, 2050], [5, 9001]];

/** Logits of 0, but for those given. */
const peaks = (classes: number, values: Readonly<Record<number, number>>): Tensor =>
  tf.tensor2d(
    Float32Array.from({ length: classes }, (_, i) => values[i] ?? 0),
    [1, classes],
  );

/** Calls of `crossEntropyOperation` for the kernels of every backend. */
export const crossEntropyCases: readonly KernelCase<CrossEntropyCall>[] = [
  ...shapes.flatMap((shape) =>
    [0, 0.1].map((labelSmoothing) => ({
      name: `[${shape.join(", ")}], smoothing ${labelSmoothing}`,
      make: (): CrossEntropyCall => {
        const classes = shape.at(-1)!;
        const logits = drawn("logits", shape);
        return { logits, labels: labelled(logits.size / classes, classes), labelSmoothing };
      },
    })),
  ),
  {
    name: "a sum, rows that do not count",
    make: () => ({
      logits: drawn("logits", [4, 37]),
      labels: Int32Array.of(36, 2, 0, 2),
      ignoreIndex: 2,
      reduction: "sum",
    }),
  },
  {
    name: "infinities in a row that does not count",
    make: () => ({
      logits: tf.concat([
        drawn("logits", [1, 6]),
        tf.mul(tf.ones([1, 6]), Infinity),
        drawn("logits", [1, 6]),
      ]),
      labels: Int32Array.of(5, -100, 0),
      labelSmoothing: 0.2,
    }),
  },
  {
    name: "a class that is ruled out",
    make: () => ({ logits: peaks(9, { 3: -Infinity, 8: 1 }), labels: Int32Array.of(8) }),
  },
  {
    name: "logits of 10,000",
    make: () => ({ logits: peaks(11, { 2: 1e4, 3: -1e4, 10: 1e4 }), labels: Int32Array.of(10) }),
  },
  {
    name: "all mass on the label, far from 0",
    make: () => ({ logits: tf.add(peaks(30, { 4: 60 }), -1e4), labels: Int32Array.of(4) }),
  },
  {
    name: "denormals",
    make: () => ({ logits: peaks(7, { 0: 1e-40, 6: -1e-45 }), labels: Int32Array.of(6) }),
  },
  {
    name: "smoothing alone",
    make: () => ({ logits: drawn("logits", [3, 10]), labels: labelled(3, 10), labelSmoothing: 1 }),
  },
];
