import * as tf from "@tensorflow/tfjs-core";
import type { CacheWriteCall } from "@heddle/attention";
import { drawn } from "./drawn.ts";
import type { KernelCase } from "./test-kernel.ts";

const written =
  (shape: readonly number[], length: number, slots: readonly number[]) => (): CacheWriteCall => {
    const [batch, heads, , width] = shape as [number, number, number, number];
    return { buffer: drawn("buffer", shape), rows: drawn("rows", [batch, heads, length, width]), slots };
  };

/** Calls of `cacheWriteOperation` for the kernels of every backend. */
export const cacheWriteCases: readonly KernelCase<CacheWriteCall>[] = [
  { name: "one row at the start", make: written([1, 1, 4, 3], 1, [0]) },
  { name: "the last slots", make: written([1, 3, 5, 2], 2, [3]) },
  { name: "the whole buffer", make: written([2, 1, 3, 5], 3, [0, 0]) },
  { name: "ragged rows", make: written([3, 2, 7, 5], 2, [0, 5, 3]) },
  {
    name: "rows that are computed, not given",
    make: () => {
      const call = written([2, 2, 6, 4], 1, [1, 4])();
      return { ...call, rows: tf.add(call.rows, 1) };
    },
  },
  {
    name: "a buffer that another tensor shares",
    supported: false,
    make: () => {
      const call = written([1, 1, 4, 3], 1, [0])();
      tf.reshape(call.buffer, [12]);
      return call;
    },
  },
];
