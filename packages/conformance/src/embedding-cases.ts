import * as tf from "@tensorflow/tfjs-core";
import { randomStream } from "@heddle/core";
import type { EmbeddingCall } from "@heddle/core";
import { drawn } from "./drawn.ts";
import type { KernelCase } from "./test-kernel.ts";

interface EmbeddingShape {
  readonly rows: number;
  readonly width: number;
  readonly ids: readonly number[];
}

const shapes: readonly EmbeddingShape[] = [
  { rows: 1, width: 1, ids: [1] },
  { rows: 5, width: 3, ids: [7] },
  { rows: 5, width: 3, ids: [2, 0] },
  { rows: 2, width: 12, ids: [3, 11] },
  { rows: 130, width: 33, ids: [2, 5] },
  { rows: 1000, width: 64, ids: [4, 1, 20] },
];

/** Calls of `embeddingOperation` for the kernels of every backend; some rows are asked for often, most never. */
export const embeddingCases: readonly KernelCase<EmbeddingCall>[] = shapes.map(({ rows, width, ids }) => ({
  name: `[${ids.join(", ")}] of [${rows}, ${width}]`,
  make: () => {
    const stream = randomStream({ seed: 16, path: "ids" });
    const numbers = Int32Array.from({ length: ids.reduce((a, b) => a * b, 1) }, (_, i) =>
      i % 3 === 0 ? rows - 1 : stream.integer(i, rows),
    );
    return {
      table: drawn("table", [rows, width]),
      ids: tf.tensor(numbers, [...ids], "int32"),
    };
  },
}));
