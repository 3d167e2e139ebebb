/** Values moved in runs, by as many kernels as operations. */
import { kernel, sliceOperation, swapOf, transposeOperation } from "@heddle/core";
import type { Kernel, SliceCall, TransposeCall } from "@heddle/core";
import * as tf from "@tensorflow/tfjs-core";
import type { Tensor } from "@tensorflow/tfjs-core";
import { machine } from "./machine.ts";

function swapped(x: Tensor, order: readonly number[]): Tensor {
  const { address, output, run } = machine();
  const [batch, rows, columns, width] = swapOf(x.shape, order)!;
  const y = output(order.map((axis) => x.shape[axis]!));
  // Single values take a kernel that turns squares of them in registers.
  if (width === 1) run("transpose", [address(x), address(y), batch, rows, columns]);
  else run("split", [address(x), address(y), batch, rows, columns * width, columns, width, 0]);
  return y;
}

/** What attention does to its heads, and the transpose of matrices. */
export const transposeWasm: Kernel<TransposeCall> = kernel(transposeOperation, {
  name: "transpose.f32.wasm.swap",
  backend: "wasm",
  unsupported: ({ x, order }) =>
    swapOf(x.shape, order) ? [] : [`[${order.join(", ")}] swaps more than two runs of dimensions`],
  needs: [],
  forward: ({ x, order }) => ({ output: swapped(x, order) }),
  gradient: ({ call: { order }, dy }) => ({
    x: () =>
      swapped(
        dy,
        order.map((_, axis) => order.indexOf(axis)),
      ),
  }),
});

/** Runs cut out of rows, and put back between zeros. */
export const sliceWasm: Kernel<SliceCall> = kernel(sliceOperation, {
  name: "slice.f32.wasm.rows",
  backend: "wasm",
  unsupported: () => [],
  needs: [],
  forward({ x, axis, begin, size }) {
    const { address, output, run } = machine();
    const rows = tf.util.sizeFromShape(x.shape.slice(0, axis));
    const inner = tf.util.sizeFromShape(x.shape.slice(axis + 1));
    const y = output(x.shape.with(axis, size));
    run("cut", [address(x), address(y), rows, x.shape[axis]! * inner, size * inner, begin * inner]);
    return { output: y };
  },
  gradient: ({ call: { x, axis, begin, size }, dy }) => ({
    x: () => {
      const { address, output, run } = machine();
      const rows = tf.util.sizeFromShape(x.shape.slice(0, axis));
      const inner = tf.util.sizeFromShape(x.shape.slice(axis + 1));
      const dx = output(x.shape);
      run("pad", [address(dy), address(dx), rows, size * inner, x.shape[axis]! * inner, begin * inner]);
      return dx;
    },
  }),
});
