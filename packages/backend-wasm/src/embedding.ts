import { embeddingOperation, kernel, reject } from "@heddle/core";
import type { EmbeddingCall, Kernel } from "@heddle/core";
import type { Tensor } from "@tensorflow/tfjs-core";
import { machine } from "./machine.ts";

/** Refuses ids that the table has no row for: the kernels would read and write beside it. */
function checkIds(ids: Tensor, rows: number): void {
  const { address, memory } = machine();
  // The address first: bringing ids from another backend may grow the heap, which would detach its buffer.
  const place = address(ids);
  const values = new Int32Array(memory.buffer, place, ids.size);
  for (const id of values) if (id < 0 || id >= rows) reject("embedding: ids", `be from 0 to ${rows - 1}`, id);
}

/** Rows copied; their gradients added by blocks of the table, in the order of the ids. */
export const embeddingWasm: Kernel<EmbeddingCall> = kernel(embeddingOperation, {
  name: "embedding.f32.wasm.rows",
  backend: "wasm",
  unsupported: ({ table }) => ("kind" in table ? [`the table is packed as ${table.packing.name}`] : []),
  needs: [],
  forward({ table, ids }) {
    const { address, output, run } = machine();
    const [rows, width] = table.shape as [number, number];
    checkIds(ids, rows);
    const y = output([...ids.shape, width]);
    run("embedding", [...[table as Tensor, ids, y].map(address), rows, width, ids.size]);
    // The ids are no differentiable input, so they are saved here.
    return { output: y, saved: [ids] };
  },
  gradient: ({ call: { table }, saved, dy }) => ({
    table: () => {
      const { address, output, run } = machine();
      const [rows, width] = table.shape as [number, number];
      const ids = saved[0]!;
      const dtable = output([rows, width]);
      run("embedding_gradient", [...[dy, ids, dtable].map(address), rows, width, ids.size]);
      return dtable;
    },
  }),
});
