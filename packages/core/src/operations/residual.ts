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
