import { kernel, sliceOperation, swapOf, transposeOperation } from "@heddle/core";
import type { Kernel, SliceCall, TransposeCall } from "@heddle/core";
import * as tf from "@tensorflow/tfjs-core";
import type { Tensor } from "@tensorflow/tfjs-core";
import { merge, split } from "./heads.ts";
import type { Heads } from "./heads-in-place.ts";
import { byLine } from "./parts.ts";
import { flatGroup, flatGroups, program } from "./program.ts";
import { output, run } from "./run.ts";

/** Lanes of a group that lie beside and below each other; each turns a square of 4 values by 4. */
const SIDE = 8;

const transposeProgram = program({
  name: "transpose.vec4f.tile4x4",
  reads: { x: "vec4f" },
  writes: { y: "vec4f" },
  // Rows and columns in fours.
  uniforms: { batch: "u32", rows: "u32", columns: "u32" },
  code: `
@compute @workgroup_size(${SIDE}, ${SIDE})
fn main(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_id) lane: vec3u,
) {
  let across = (uniforms.columns + ${SIDE - 1}) / ${SIDE};
  let down = (uniforms.rows + ${SIDE - 1}) / ${SIDE};
  let at = ${flatGroup};
  let column = at % across * ${SIDE} + lane.x;
  let row = at / across % down * ${SIDE} + lane.y;
  let matrix = at / across / down;
  if (column >= uniforms.columns || row >= uniforms.rows || matrix >= uniforms.batch) { return; }
  let origin = matrix * 4 * uniforms.rows * uniforms.columns;
  let source = origin + 4 * row * uniforms.columns + column;
  let square = transpose(mat4x4f(
    x[source],
    x[source + uniforms.columns],
    x[source + 2 * uniforms.columns],
    x[source + 3 * uniforms.columns],
  ));
  let result = origin + 4 * column * uniforms.rows + row;
  for (var i = 0u; i < 4; i++) { y[result + i * uniforms.rows] = square[i]; }
}`,
});

function swapped(x: Tensor, order: readonly number[]): Tensor {
  const [batch, rows, columns, width] = swapOf(x.shape, order)!;
  const shape = order.map((axis) => x.shape[axis]!);
  if (width !== 1 || rows % 4 !== 0 || columns % 4 !== 0)
    return split(
      x,
      // As heads of rows.
      { heads: columns, length: rows, headWidth: width, width: columns * width, begin: 0 },
      shape,
    );
  const y = output(shape);
  const groups = Math.ceil(rows / 4 / SIDE) * Math.ceil(columns / 4 / SIDE);
  const matrices = byLine(groups, (matrix) => matrix * rows * columns);
  run(transposeProgram, {
    buffers: { x, y },
    uniforms: { batch, rows: rows / 4, columns: columns / 4 },
    groups: flatGroups(batch * groups),
    shares: { x: matrices, y: matrices },
  });
  return y;
}

/** What attention does to its heads, and the transpose of matrices. */
export const transposeWebGpu: Kernel<TransposeCall> = kernel(transposeOperation, {
  name: "transpose.f32.webgpu.swap",
  backend: "webgpu",
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

/** A slice as the one head of each row. */
function headOf({ x, axis, begin, size }: SliceCall): Heads {
  const inner = tf.util.sizeFromShape(x.shape.slice(axis + 1));
  return {
    heads: 1,
    length: 1,
    headWidth: size * inner,
    width: x.shape[axis]! * inner,
    begin: begin * inner,
  };
}

/** Runs cut out of rows, and put back between zeros. */
export const sliceWebGpu: Kernel<SliceCall> = kernel(sliceOperation, {
  name: "slice.f32.webgpu.rows",
  backend: "webgpu",
  unsupported: () => [],
  needs: [],
  forward: (call) => ({ output: split(call.x, headOf(call), call.x.shape.with(call.axis, call.size)) }),
  gradient: ({ call, dy }) => ({ x: () => merge(dy, headOf(call), call.x.shape) }),
});
