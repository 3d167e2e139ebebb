import { embeddingOperation, kernel } from "@heddle/core";
import type { EmbeddingCall, Kernel, PackedMatrix, StorageKind } from "@heddle/core";
import type { Tensor } from "@tensorflow/tfjs-core";
import { filled } from "./fill.ts";
import { storageOf, storedElement, storedWgsl, unsupportedForm, valuesOf } from "./matrix-forms.ts";
import { EACH, eachGroups, eachIndex, program, programs } from "./program.ts";
import { output, run } from "./run.ts";

type Value = "f32" | "vec4f";

/** Rows are read by four values where their width allows it. */
const valueOf = (width: number): readonly [type: Value, per: number] =>
  width % 4 === 0 ? ["vec4f", 4] : ["f32", 1];

const rowsProgram = programs(({ type, storage }: { type: Value; storage: StorageKind }) =>
  program({
    name: `embedding.${storage}.${type}.rows`,
    reads: { table: storedElement(storage, type === "vec4f"), ids: "i32" },
    writes: { y: type },
    uniforms: { size: "u32", rows: "u32", width: "u32" },
    code: `${storedWgsl("table", storage, type === "vec4f")}${eachIndex(
      "uniforms.size",
      `  // Numbers below 0 are beyond the last row.
  let row = u32(ids[i / uniforms.width]);
  if (row < uniforms.rows) {
    y[i] = table_at((row * uniforms.width + i % uniforms.width) * ${type === "vec4f" ? 4 : 1});
  } else {
    y[i] = ${type}();
  }`,
    )}`,
  }),
);

/** Of each row of the table the first id that asks for it, and of each id the next that asks for the same row. */
const linksProgram = program({
  name: "embedding.i32.links",
  reads: { ids: "i32" },
  writes: { firsts: "u32", links: "u32" },
  uniforms: { ids_count: "u32", rows: "u32" },
  code: eachIndex(
    "uniforms.ids_count",
    `  let row = ids[i];
  var next = i + 1;
  while (next < uniforms.ids_count && ids[next] != row) { next++; }
  links[i] = next;
  var before = i;
  while (before > 0 && ids[before - 1] != row) { before--; }
  if (before == 0 && u32(row) < uniforms.rows) { firsts[row] = i; }`,
  ),
});

/** Gradients of the ids that ask for a row, added in their order by who owns the place in the table. */
const gradientProgram = programs((type: Value) =>
  program({
    name: `embedding.${type}.gradient`,
    reads: { firsts: "u32", links: "u32", dy: type },
    writes: { dtable: type },
    uniforms: { size: "u32", width: "u32", ids_count: "u32" },
    code: eachIndex(
      "uniforms.size",
      `  let column = i % uniforms.width;
  var sum = ${type}();
  for (var id = firsts[i / uniforms.width]; id < uniforms.ids_count; id = links[id]) {
    sum += dy[id * uniforms.width + column];
  }
  dtable[i] = sum;`,
    ),
  }),
);

function rowsOf(table: Tensor | PackedMatrix, ids: Tensor): Tensor {
  const [rows, width] = table.shape as [number, number];
  const [type, per] = valueOf(width);
  const y = output([...ids.shape, width]);
  const size = y.size / per;
  run(rowsProgram({ type, storage: storageOf(table)! }), {
    buffers: { table: valuesOf(table), ids, y },
    uniforms: { size, rows, width: width / per },
    groups: eachGroups(size),
    shares: { y: EACH * per },
  });
  return y;
}

function tableGradient(shape: readonly number[], ids: Tensor, dy: Tensor): Tensor {
  const [rows, width] = shape as readonly [number, number];
  const [type, per] = valueOf(width);
  const dtable = output(shape);
  // A row that no id asks for has this as its first.
  const firsts = filled([rows], ids.size, "int32");
  const links = output([ids.size], "int32");
  run(linksProgram, {
    buffers: { ids, firsts, links },
    uniforms: { ids_count: ids.size, rows },
    groups: eachGroups(ids.size),
  });
  const size = dtable.size / per;
  run(gradientProgram(type), {
    buffers: { firsts, links, dy, dtable },
    uniforms: { size, width: width / per, ids_count: ids.size },
    groups: eachGroups(size),
    shares: { dtable: EACH * per },
  });
  return dtable;
}

/** Rows copied; their gradients added in the order of the ids. */
export const embeddingWebGpu: Kernel<EmbeddingCall> = kernel(embeddingOperation, {
  name: "embedding.f32.webgpu.rows",
  backend: "webgpu",
  unsupported: ({ table }) => unsupportedForm("table", table),
  needs: [],
  // The ids are no differentiable input, so they are saved here.
  forward: ({ table, ids }) => ({ output: rowsOf(table, ids), saved: [ids] }),
  gradient: ({ call: { table }, saved, dy }) => ({
    table: () => tableGradient(table.shape, saved[0]!, dy),
  }),
});
