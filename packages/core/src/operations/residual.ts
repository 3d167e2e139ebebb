import * as tf from "@tensorflow/tfjs-core";
import type { Tensor } from "@tensorflow/tfjs-core";
import { reject } from "../errors.ts";
import { defineOperation, run } from "../operation.ts";
import type { Operation } from "../operation.ts";
import { checkFloats } from "./tensors.ts";

/** A call of `residual`. */
export interface ResidualCall {
  readonly x: Tensor;
  /** Of the shape of `x`, or of one that broadcasts to it (a position table over a batch). */
  readonly y: Tensor;
}

/** x of `residual` as [outer, repeats, inner], over which y is [outer, inner]: for kernels. */
export interface Repetition {
  readonly outer: number;
  readonly repeats: number;
  readonly inner: number;
}

/** How y is repeated along x; undefined when that is along dimensions that do not lie together. */
export function repetitionOf({ x, y }: ResidualCall): Repetition | undefined {
  const missing = x.shape.length - y.shape.length;
  const axes = x.shape.flatMap((length, axis) => (length === 1 ? [] : [axis]));
  const repeated = axes.filter((axis) => axis < missing || y.shape[axis - missing] === 1);
  if (repeated.length === 0) return { outer: 1, repeats: 1, inner: x.size };
  const [first, last] = [repeated[0]!, repeated.at(-1)!];
  if (axes.some((axis) => axis > first && axis < last && !repeated.includes(axis))) return undefined;
  const lengthOf = (begin: number, end: number): number => tf.util.sizeFromShape(x.shape.slice(begin, end));
  return {
    outer: lengthOf(0, first),
    repeats: lengthOf(first, last + 1),
    inner: lengthOf(last + 1, x.shape.length),
  };
}

/** Sums a gradient over the dimensions along which a tensor of `shape` was repeated. */
function sumTo(gradient: Tensor, shape: readonly number[]): Tensor {
  const extra = gradient.shape.length - shape.length;
  const axes = gradient.shape.flatMap((length, axis) =>
    axis < extra || (shape[axis - extra] === 1 && length > 1) ? [axis] : [],
  );
  return axes.length === 0 ? gradient : tf.reshape(tf.sum(gradient, axes), [...shape]);
}

/** The operation behind `residual`. */
export const residualOperation: Operation<ResidualCall> = defineOperation<ResidualCall>({
  name: "residual",
  tensors: ["x", "y"],
  needs: [],
  validate({ x, y }) {
    checkFloats("residual: x", x);
    checkFloats("residual: y", y);
    const extra = x.shape.length - y.shape.length;
    if (extra < 0 || y.shape.some((length, axis) => length !== 1 && length !== x.shape[axis + extra]))
      reject("residual: y", `have a shape that broadcasts to [${x.shape.join(", ")}]`, y.shape);
  },
  forward: ({ x, y }) => ({ output: tf.add(x, y) }),
  gradient: ({ call: { y }, dy }) => ({ x: () => dy, y: () => sumTo(dy, y.shape) }),
});

/** x + y. */
export function residual(x: Tensor, y: Tensor): Tensor {
  return run(residualOperation, { x, y });
}
