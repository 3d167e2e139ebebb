import * as tf from "@tensorflow/tfjs-core";
import type { Tensor } from "@tensorflow/tfjs-core";
import { reject } from "../errors.ts";
import { defineOperation, run } from "../operation.ts";
import type { Operation } from "../operation.ts";
import { checkFloats } from "./tensors.ts";

/** A call of `matmul`. */
export interface MatmulCall {
  /** [..., M, K], or [..., K, M] with `transposeA`. */
  readonly a: Tensor;
  /** [..., K, N], or [..., N, K] with `transposeB`; the same leading dimensions as `a`. */
  readonly b: Tensor;
  readonly transposeA?: boolean;
  readonly transposeB?: boolean;
}

/** Swaps the last two dimensions. */
function swapLast(x: Tensor): Tensor {
  const rank = x.shape.length;
  return tf.transpose(x, [...Array.from({ length: rank - 2 }, (_, axis) => axis), rank - 1, rank - 2]);
}

/** The operation behind `matmul`. */
export const matmulOperation: Operation<MatmulCall> = defineOperation<MatmulCall>({
  name: "matmul",
  tensors: ["a", "b"],
  validate({ a, b, transposeA = false, transposeB = false }) {
    checkFloats("matmul: a", a, 2);
    checkFloats("matmul: b", b, 2);
    if (a.shape.slice(0, -2).join() !== b.shape.slice(0, -2).join())
      reject("matmul: b", `have the leading dimensions of a, [${a.shape.slice(0, -2).join(", ")}]`, b.shape);
    const inner = a.shape.at(transposeA ? -2 : -1);
    if (inner !== b.shape.at(transposeB ? -1 : -2))
      reject("matmul: b", `share the inner dimension ${inner} of a`, b.shape);
  },
  forward({ a, b, transposeA, transposeB }) {
    return { output: tf.matMul(transposeA ? swapLast(a) : a, transposeB ? swapLast(b) : b) };
  },
  gradient({ call: { a, b, transposeA, transposeB }, dy }) {
    return {
      a: () => {
        const bT = transposeB ? b : swapLast(b);
        return transposeA ? tf.matMul(swapLast(bT), swapLast(dy)) : tf.matMul(dy, bT);
      },
      b: () => {
        const aT = transposeA ? a : swapLast(a);
        return transposeB ? tf.matMul(swapLast(dy), swapLast(aT)) : tf.matMul(aT, dy);
      },
    };
  },
});

/** Matrix product over the last two dimensions. */
export function matmul(call: MatmulCall): Tensor {
  return run(matmulOperation, call);
}
