/** Checks on the tensors of a call, and views of them as matrices, shared by the operations. */
import * as tf from "@tensorflow/tfjs-core";
import type { Tensor } from "@tensorflow/tfjs-core";
import { HeddleError, checkShape, reject } from "../errors.ts";

/** Checks that a value is a live float32 tensor of at least `minRank` dimensions. */
export function checkFloats(where: string, tensor: Tensor, minRank = 0): void {
  if (tensor?.shape === undefined) reject(where, "be a tensor", tensor);
  if (tensor.isDisposed) throw new HeddleError("invalid-state", `${where} must not be disposed`);
  if (tensor.dtype !== "float32") reject(where, "be float32", tensor.dtype);
  if (tensor.shape.length < minRank) reject(where, `have at least ${minRank} dimensions`, tensor.shape);
}

/** Checks that a value is a live float32 tensor of a shape; `null` stands for any size. */
export function checkFloatsOf(where: string, tensor: Tensor, shape: readonly (number | null)[]): void {
  checkFloats(where, tensor);
  checkShape(where, tensor.shape, shape);
}

/** Checks that a value is an Int32Array: a plain array may hold fractions, which a device cuts without a word. */
export function checkIntegers(where: string, values: Int32Array): void {
  if (!(values instanceof Int32Array)) reject(where, "be an Int32Array", values);
}

/** The number of rows when a shape is seen as a matrix over its last dimension. */
export function rowsOf(shape: readonly number[]): number {
  return shape.slice(0, -1).reduce((product, length) => product * length, 1);
}

/**
 * Sum over all dimensions but the last, [D]. As a product with ones, since tfjs's sum over leading dimensions
 * transposes first: 40 times as slow on WASM.
 */
export function sumRows(x: Tensor): Tensor {
  const [rows, width] = [rowsOf(x.shape), x.shape.at(-1)!];
  return tf.reshape(tf.matMul(tf.ones([1, rows]), tf.reshape(x, [rows, width])), [width]);
}

/** One gradient of several inputs: computed once, and given to each as a tensor of its own. */
export function sharedGradient(compute: () => Tensor): () => Tensor {
  let made: Tensor | undefined;
  return () => (made ? tf.clone(made) : (made = compute()));
}
