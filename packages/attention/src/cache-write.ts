/** Writing new rows into the buffer of a cache: the operation, and what the backends' kernels for it share. */
import * as tf from "@tensorflow/tfjs-core";
import type { Tensor } from "@tensorflow/tfjs-core";
import { checkFloatsOf, checkInteger, checkShape, defineOperation, kernel, reject } from "@heddle/core";
import type { Kernel, Operation } from "@heddle/core";

/** A call of the operation that writes new rows into a cache's buffer. Shapes: B batch, G key heads, C capacity. */
export interface CacheWriteCall {
  /** [B, G, C, D], held by nobody else. */
  readonly buffer: Tensor;
  /** [B, G, L, D] */
  readonly rows: Tensor;
  /** First slot of each batch row. */
  readonly slots: readonly number[];
}

/**
 * Writes rows into a buffer. A backend's kernel does it in place and gives the same tensor back; the reference makes
 * a new one.
 */
export const cacheWriteOperation: Operation<CacheWriteCall> = defineOperation<CacheWriteCall>({
  name: "cacheWrite",
  tensors: ["buffer", "rows"],
  needs: [],
  validate({ buffer, rows, slots }) {
    checkFloatsOf("cacheWrite: buffer", buffer, [null, null, null, null]);
    checkFloatsOf("cacheWrite: rows", rows, [null, null, null, null]);
    const [batch, heads, capacity, width] = buffer.shape as [number, number, number, number];
    checkShape("cacheWrite: rows", rows.shape, [batch, heads, null, width]);
    if (slots.length !== batch) reject("cacheWrite: slots", `hold one slot for each of ${batch} rows`, slots);
    slots.forEach((slot) =>
      checkInteger("cacheWrite: slot", slot, { min: 0, max: capacity - rows.shape[2]! }),
    );
  },
  forward({ buffer, rows, slots }) {
    const [batch, heads, capacity, width] = buffer.shape as [number, number, number, number];
    const length = rows.shape[2]!;
    const lines = slots.map((slot, b) =>
      tf.concat(
        [
          tf.slice(buffer, [b, 0, 0, 0], [1, heads, slot, width]),
          tf.slice(rows, [b, 0, 0, 0], [1, heads, length, width]),
          tf.slice(buffer, [b, 0, slot + length, 0], [1, heads, capacity - slot - length, width]),
        ].filter((part) => part.size > 0),
        2,
      ),
    );
    return { output: batch === 1 ? lines[0]! : tf.concat(lines, 0) };
  },
});

/** Consecutive values to copy, as numbers of values. */
export interface CacheSpan {
  /** Where they begin in the rows. */
  readonly from: number;
  /** Where they begin in the buffer. */
  readonly to: number;
  readonly length: number;
}

/** What a call copies: one span for each batch row and key head. */
export function cacheWriteSpans({ buffer, rows, slots }: CacheWriteCall): CacheSpan[] {
  const [, heads, capacity, width] = buffer.shape as [number, number, number, number];
  const length = rows.shape[2]! * width;
  return slots.flatMap((slot, b) =>
    Array.from({ length: heads }, (_, head) => ({
      from: (b * heads + head) * length,
      to: ((b * heads + head) * capacity + slot) * width,
      length,
    })),
  );
}

/** What a backend brings to write in place. */
export interface CacheWriteDefinition {
  readonly name: string;
  readonly backend: string;
  /** Writes the rows into the buffer's memory, where `cacheWriteSpans` says. */
  write(call: CacheWriteCall): void;
}

/** A kernel that writes in place and gives the buffer back. */
export function cacheWriteKernel({ name, backend, write }: CacheWriteDefinition): Kernel<CacheWriteCall> {
  return kernel(cacheWriteOperation, {
    name,
    backend,
    unsupported({ buffer, rows }) {
      const holders = tf.backend().refCount(buffer.dataId);
      return [
        ...(holders > 1 ? [`the buffer is shared by ${holders} tensors`] : []),
        ...(holders < 1 ? ["the buffer is on another backend"] : []),
        ...(buffer.dataId === rows.dataId ? ["the rows are the buffer itself"] : []),
      ];
    },
    forward(call) {
      write(call);
      return { output: call.buffer };
    },
  });
}
