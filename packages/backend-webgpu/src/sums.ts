import type { Tensor } from "@tensorflow/tfjs-core";
import { output, program, run } from "./program.ts";

/** Columns of a group, and rows that it adds up side by side. */
const [COLUMNS, LANES] = [16, 16];

const rowSumsProgram = program({
  name: "rowSums.f32",
  reads: { x: "f32" },
  writes: { y: "f32" },
  uniforms: { rows: "u32", width: "u32" },
  code: `
var<workgroup> parts: array<f32, ${COLUMNS * LANES}>;
@compute @workgroup_size(${COLUMNS}, ${LANES})
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_id) lane: vec3u) {
  let column = group.x * ${COLUMNS} + lane.x;
  var sum = 0.0;
  if (column < uniforms.width) {
    for (var row = lane.y; row < uniforms.rows; row += ${LANES}) {
      sum += x[(group.y * uniforms.rows + row) * uniforms.width + column];
    }
  }
  parts[lane.y * ${COLUMNS} + lane.x] = sum;
  workgroupBarrier();
  if (lane.y > 0 || column >= uniforms.width) { return; }
  for (var other = 1u; other < ${LANES}; other++) { sum += parts[other * ${COLUMNS} + lane.x]; }
  y[group.y * uniforms.width + column] = sum;
}`,
});

/** Sums over the rows of each of `batch` matrices, [batch, width], always in the same order. */
export function rowSums(x: Tensor, batch: number, width: number, shape: readonly number[]): Tensor {
  const y = output(shape);
  run(rowSumsProgram, {
    buffers: { x, y },
    uniforms: { rows: x.size / (batch * width) || 0, width },
    groups: [Math.ceil(width / COLUMNS), batch],
  });
  return y;
}

/** Sums over all dimensions but the last. */
export function columnSums(x: Tensor): Tensor {
  const width = x.shape.at(-1)!;
  return rowSums(x, 1, width, [width]);
}
