import { kernel, sliceOperation, transposeOperation } from "@heddle/core";
import type { Kernel, SliceCall, TransposeCall } from "@heddle/core";
import * as tf from "@tensorflow/tfjs-core";
import type { Tensor } from "@tensorflow/tfjs-core";
import { merge, split } from "./heads.ts";
import type { Heads } from "./heads-in-place.ts";
import { flatGroup, flatGroups, output, program, run } from "./program.ts";

/** x as [batch, rows, columns, width], whose rows and columns change places. */
type Swap = readonly [batch: number, rows: number, columns: number, width: number];

/** An order of dimensions as a swap of two that lie together, each of them a run of dimensions; undefined if it is none. */
function swapOf(shape: readonly number[], order: readonly number[]): Swap | undefined {
  const moved = order.filter((from, to) => from !== to);
  const begin = Math.min(...moved, shape.length);
  const end = Math.max(...moved, begin - 1) + 1;
  const middle = order[begin] ?? begin;
  const isSwap = order
    .slice(begin, end)
    .every((from, i) => from === begin + ((middle - begin + i) % (end - begin)));
  const lengthOf = (from: number, to: number): number => tf.util.sizeFromShape(shape.slice(from, to));
  return isSwap
    ? [lengthOf(0, begin), lengthOf(begin, middle), lengthOf(middle, end), lengthOf(end, shape.length)]
    : undefined;
}

/** Side of the square that a group turns, and how many of its rows are moved at a time. */
const [SIDE, ROWS] = [32, 8];

const transposeProgram = program({
  name: `transpose.f32.tile${SIDE}x${SIDE}`,
  reads: { x: "f32" },
  writes: { y: "f32" },
  uniforms: { batch: "u32", rows: "u32", columns: "u32" },
  code: `
// One column more than a square has: the values of a column lie in different banks.
var<workgroup> square: array<array<f32, ${SIDE + 1}>, ${SIDE}>;
@compute @workgroup_size(${SIDE}, ${ROWS})
fn main(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_id) lane: vec3u,
) {
  let across = (uniforms.columns + ${SIDE - 1}) / ${SIDE};
  let down = (uniforms.rows + ${SIDE - 1}) / ${SIDE};
  let at = ${flatGroup};
  if (at >= uniforms.batch * down * across) { return; }
  let first_column = at % across * ${SIDE};
  let first_row = at / across % down * ${SIDE};
  let origin = at / across / down * uniforms.rows * uniforms.columns;
  for (var i = lane.y; i < ${SIDE}; i += ${ROWS}) {
    let row = first_row + i;
    let column = first_column + lane.x;
    if (row < uniforms.rows && column < uniforms.columns) {
      square[i][lane.x] = x[origin + row * uniforms.columns + column];
    }
  }
  workgroupBarrier();
  for (var i = lane.y; i < ${SIDE}; i += ${ROWS}) {
    let row = first_row + lane.x;
    let column = first_column + i;
    if (row < uniforms.rows && column < uniforms.columns) {
      y[origin + column * uniforms.rows + row] = square[lane.x][i];
    }
  }
}`,
});

/** Matrices with fewer rows or columns would leave most of a square empty. */
const LEAST = 8;

function swapped(x: Tensor, order: readonly number[]): Tensor {
  const [batch, rows, columns, width] = swapOf(x.shape, order)!;
  const shape = order.map((axis) => x.shape[axis]!);
  // As heads of rows.
  if (width !== 1 || Math.min(rows, columns) < LEAST)
    return split(
      x,
      { heads: columns, length: rows, headWidth: width, width: columns * width, begin: 0 },
      shape,
    );
  const y = output(shape);
  run(transposeProgram, {
    buffers: { x, y },
    uniforms: { batch, rows, columns },
    groups: flatGroups(batch * Math.ceil(rows / SIDE) * Math.ceil(columns / SIDE)),
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
