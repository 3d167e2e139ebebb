import { embeddingOperation, kernel } from "@heddle/core";
import type { EmbeddingCall, Kernel } from "@heddle/core";
import type { Tensor } from "@tensorflow/tfjs-core";
import { flatGroup, flatGroups, output, program, programs, rowParts, run } from "./program.ts";

type Value = "f32" | "vec4f";

/** Rows are read by four values where their width allows it. */
const valueOf = (width: number): readonly [type: Value, per: number] =>
  width % 4 === 0 ? ["vec4f", 4] : ["f32", 1];

const SIZE = 256;

const rowsProgram = programs((type: Value) =>
  program({
    name: `embedding.${type}.rows`,
    reads: { table: type, ids: "i32" },
    writes: { y: type },
    uniforms: { size: "u32", first_row: "u32", rows: "u32", width: "u32" },
    code: `
@compute @workgroup_size(${SIZE})
fn main(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) lane: u32,
) {
  let i = ${flatGroup} * ${SIZE} + lane;
  if (i >= uniforms.size) { return; }
  // Rows before the part's first wrap round, and are beyond its last.
  let row = u32(ids[i / uniforms.width]) - uniforms.first_row;
  if (row < uniforms.rows) {
    y[i] = table[row * uniforms.width + i % uniforms.width];
  } else if (uniforms.first_row == 0) {
    // For another part to write, or the table has no such row.
    y[i] = ${type}();
  }
}`,
  }),
);

/** At most so many groups, each with a block of the table's rows. */
const BLOCKS = 1024;

/**
 * Each group goes through all ids for those of its rows, and adds the gradients of these in their order. A lane has the
 * same columns throughout, so that none waits for what another wrote.
 */
const gradientProgram = programs((type: Value) =>
  program({
    name: `embedding.${type}.gradient`,
    reads: { ids: "i32", dy: type },
    writes: { dtable: type },
    uniforms: { ids_count: "u32", first_row: "u32", rows: "u32", width: "u32", block: "u32" },
    code: `
// A bit for each of the ids that are looked at together: whether its row is of this block.
var<workgroup> found: array<atomic<u32>, ${SIZE / 32}>;
@compute @workgroup_size(${SIZE})
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) lane: u32) {
  let first = group.x * uniforms.block;
  let end = min(first + uniforms.block, uniforms.rows);
  for (var row = first; row < end; row++) {
    for (var column = lane; column < uniforms.width; column += ${SIZE}) {
      dtable[row * uniforms.width + column] = ${type}();
    }
  }
  for (var first_id = 0u; first_id < uniforms.ids_count; first_id += ${SIZE}) {
    if (lane < ${SIZE / 32}) { atomicStore(&found[lane], 0); }
    workgroupBarrier();
    if (first_id + lane < uniforms.ids_count) {
      let row = u32(ids[first_id + lane]) - uniforms.first_row;
      if (row >= first && row < end) { atomicOr(&found[lane / 32], 1u << (lane % 32)); }
    }
    workgroupBarrier();
    for (var word = 0u; word < ${SIZE / 32}; word++) {
      for (var bits = atomicLoad(&found[word]); bits != 0; bits &= bits - 1) {
        let id = first_id + 32 * word + firstTrailingBit(bits);
        let row = u32(ids[id]) - uniforms.first_row;
        for (var column = lane; column < uniforms.width; column += ${SIZE}) {
          dtable[row * uniforms.width + column] += dy[id * uniforms.width + column];
        }
      }
    }
    workgroupBarrier();
  }
}`,
  }),
);

function rowsOf(table: Tensor, ids: Tensor): Tensor {
  const [rows, width] = table.shape as [number, number];
  const [type, per] = valueOf(width);
  const y = output([...ids.shape, width]);
  const size = y.size / per;
  for (const part of rowParts(rows, width))
    run(rowsProgram(type), {
      buffers: { table: part.of(table), ids, y },
      uniforms: { size, first_row: part.first, rows: part.rows, width: width / per },
      groups: flatGroups(Math.ceil(size / SIZE)),
    });
  return y;
}

function tableGradient(shape: readonly number[], ids: Tensor, dy: Tensor): Tensor {
  const [rows, width] = shape as readonly [number, number];
  const [type, per] = valueOf(width);
  const dtable = output(shape);
  if (dtable.size === 0) return dtable;
  for (const part of rowParts(rows, width)) {
    const block = Math.ceil(part.rows / BLOCKS);
    run(gradientProgram(type), {
      buffers: { ids, dy, dtable: part.of(dtable) },
      uniforms: { ids_count: ids.size, first_row: part.first, rows: part.rows, width: width / per, block },
      groups: [Math.ceil(part.rows / block)],
    });
  }
  return dtable;
}

/** Rows copied; their gradients added by blocks of the table, in the order of the ids. */
export const embeddingWebGpu: Kernel<EmbeddingCall> = kernel(embeddingOperation, {
  name: "embedding.f32.webgpu.rows",
  backend: "webgpu",
  unsupported: () => [],
  needs: [],
  // The ids are no differentiable input, so they are saved here.
  forward: ({ table, ids }) => ({ output: rowsOf(table, ids), saved: [ids] }),
  gradient: ({ call: { table }, saved, dy }) => ({
    table: () => tableGradient(table.shape, saved[0]!, dy),
  }),
});
