import { randomStream } from "@heddle/core";
import * as tf from "@tensorflow/tfjs-core";
import type { Tensor } from "@tensorflow/tfjs-core";

/** By path and size: a kernel is run a hundred times on the same numbers. */
const kept = new Map<string, Float32Array>();

/** How `drawn` changes the normal numbers. */
export interface DrawnOptions {
  /** @default 1 */
  readonly scale?: number;
}

/** Standard normal numbers times a factor; the same path gives the same ones. A new tensor each time. */
export function drawn(path: string, shape: readonly number[], { scale = 1 }: DrawnOptions = {}): Tensor {
  const size = shape.reduce((product, length) => product * length, 1);
  const name = `${path} ${size}`;
  const values = kept.get(name) ?? randomStream({ seed: 4, path }).normals(size);
  kept.set(name, values);
  // A copy, since tensors of the CPU backend share the array that they are made of.
  return tf.tensor(
    values.map((value) => scale * value),
    [...shape],
  );
}
