import { cacheWriteKernel } from "@heddle/attention";
import type { CacheWriteCall } from "@heddle/attention";
import type { Kernel } from "@heddle/core";
import { areVectors, placeOf } from "./heads-in-place.ts";
import { eachGroups, eachIndex, program, programs } from "./program.ts";
import { run } from "./run.ts";

const cacheWriteProgram = programs((type: "f32" | "vec4f") =>
  program({
    name: `cacheWrite.${type}`,
    reads: { rows: type },
    writes: { buffer: type },
    uniforms: {
      size: "u32",
      length: "u32",
      width: "u32",
      capacity: "u32",
      // Of the rows: where those of the batch row begin, and how far it is to the next head and row.
      begin: "u32",
      head: "u32",
      row: "u32",
      // Of the buffer: where the batch row's first new slot begins.
      first: "u32",
    },
    code: eachIndex(
      "uniforms.size",
      `  let column = i % uniforms.width;
  let row = i / uniforms.width % uniforms.length;
  let head = i / uniforms.width / uniforms.length;
  buffer[uniforms.first + (head * uniforms.capacity + row) * uniforms.width + column] =
    rows[uniforms.begin + head * uniforms.head + row * uniforms.row + column];`,
    ),
  }),
);

/** Writes new keys and values into the cache's buffer on the device: one program a batch row. */
export const cacheWriteWebGpu: Kernel<CacheWriteCall> = cacheWriteKernel({
  name: "cacheWrite.f32.webgpu.inPlace",
  backend: "webgpu",
  write({ buffer, rows, slots }) {
    const [, heads, capacity, width] = buffer.shape as [number, number, number, number];
    const length = rows.shape[2]!;
    const place = placeOf(rows);
    const { values, begin, batch, head, row } = place;
    const per = areVectors(width, place) ? 4 : 1;
    const size = (heads * length * width) / per;
    slots.forEach((slot, b) =>
      run(cacheWriteProgram(per === 4 ? "vec4f" : "f32"), {
        buffers: { rows: values, buffer },
        uniforms: {
          size,
          length,
          width: width / per,
          capacity,
          begin: (begin + b * batch) / per,
          head: head / per,
          row: row / per,
          first: ((b * heads * capacity + slot) * width) / per,
        },
        groups: eachGroups(size),
      }),
    );
  },
});
