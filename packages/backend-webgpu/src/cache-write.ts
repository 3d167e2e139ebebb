import { cacheWriteKernel } from "@heddle/attention";
import type { CacheWriteCall } from "@heddle/attention";
import type { Kernel } from "@heddle/core";
import * as tf from "@tensorflow/tfjs-core";
import { areVectors, headAt, placeOf, placeTypes, placeUniforms } from "./heads-in-place.ts";
import { byLine } from "./parts.ts";
import { EACH, eachGroups, eachIndex, program, programs } from "./program.ts";
import { run } from "./run.ts";

interface CacheWriteVariant {
  readonly type: "f32" | "vec4f";
  /** Each batch row has a slot of its own; else all have one. */
  readonly isRagged: boolean;
}

const cacheWriteProgram = programs(({ type, isRagged }: CacheWriteVariant) =>
  program({
    name: `cacheWrite.${type}${isRagged ? ".ragged" : ""}`,
    reads: { rows: type, slots: isRagged ? "u32" : undefined },
    writes: { buffer: type },
    uniforms: {
      size: "u32",
      heads: "u32",
      length: "u32",
      width: "u32",
      capacity: "u32",
      slot: "u32",
      ...placeTypes("rows"),
    },
    code: eachIndex(
      "uniforms.size",
      `  let column = i % uniforms.width;
  let row = i / uniforms.width % uniforms.length;
  let head = i / uniforms.width / uniforms.length % uniforms.heads;
  let batch = i / uniforms.width / uniforms.length / uniforms.heads;
  let slot = ${isRagged ? "slots[batch]" : "uniforms.slot"};
  buffer[((batch * uniforms.heads + head) * uniforms.capacity + slot + row) * uniforms.width + column] =
    rows[${headAt("rows", "batch", "head")} + row * uniforms.rowsRow + column];`,
    ),
  }),
);

/** Writes new keys and values into the cache's buffer on the device. */
export const cacheWriteWebGpu: Kernel<CacheWriteCall> = cacheWriteKernel({
  name: "cacheWrite.f32.webgpu.inPlace",
  backend: "webgpu",
  write({ buffer, rows, slots }) {
    const [batch, heads, capacity, width] = buffer.shape as [number, number, number, number];
    const length = rows.shape[2]!;
    const place = placeOf(rows);
    const per = areVectors(width, place) ? 4 : 1;
    const ofBatchRow = (heads * length * width) / per;
    const isRagged = slots.some((slot) => slot !== slots[0]);
    const line = ofBatchRow / EACH;
    run(cacheWriteProgram({ type: per === 4 ? "vec4f" : "f32", isRagged }), {
      buffers: { rows: place.values, slots: isRagged ? tf.tensor1d([...slots], "int32") : undefined, buffer },
      uniforms: {
        size: batch * ofBatchRow,
        heads,
        length,
        width: width / per,
        capacity,
        slot: slots[0] ?? 0,
        ...placeUniforms("rows", place, per),
      },
      groups: eachGroups(batch * ofBatchRow),
      shares: {
        rows: byLine(line, (row) => place.begin + row * place.batch),
        buffer: byLine(line, (row) => row * heads * capacity * width),
      },
    });
  },
});
