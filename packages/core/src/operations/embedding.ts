import * as tf from "@tensorflow/tfjs-core";
import type { Tensor } from "@tensorflow/tfjs-core";
import { reject } from "../errors.ts";
import { defineOperation, run } from "../operation.ts";
import type { Operation } from "../operation.ts";
import type { PackedMatrix } from "../packing.ts";
import { checkMatrix, plainOf } from "./matrix.ts";

/** A call of `embedding`. */
export interface EmbeddingCall {
  /** [V, D], or one in a backend's form, without a gradient. */
  readonly table: Tensor | PackedMatrix;
  /** Row numbers, int32 of any shape. Values outside [0, V) are the caller's to refuse: a device does not report them. */
  readonly ids: Tensor;
}

/** The operation behind `embedding`. */
export const embeddingOperation: Operation<EmbeddingCall> = defineOperation<EmbeddingCall>({
  name: "embedding",
  tensors: ["table"],
  needs: [],
  validate({ table, ids }) {
    checkMatrix("embedding: table", table, [null, null]);
    if (ids?.dtype !== "int32") reject("embedding: ids", "be an int32 tensor", ids?.dtype ?? ids);
  },
  forward({ table, ids }) {
    const rows = tf.gather(plainOf(table), tf.reshape(ids, [ids.size]) as tf.Tensor1D);
    // The ids are no differentiable input, so they are saved here.
    return { output: tf.reshape(rows, [...ids.shape, table.shape[1]!]), saved: [ids] };
  },
  gradient({ call: { table }, saved, dy }) {
    const ids = saved[0]!;
    const [rows, width] = table.shape as [number, number];
    return {
      table() {
        // On WebGPU scatterND refuses to have nothing to do.
        if (ids.size === 0) return tf.zeros([rows, width]);
        const places = tf.reshape(ids, [ids.size, 1]) as tf.Tensor2D;
        // scatterND adds what falls on the same row; tfjs's own gradient needs a kernel that WASM lacks.
        return tf.scatterND(places, tf.reshape(dy, [ids.size, width]), [rows, width]);
      },
    };
  },
});

/** Rows of a table: [..., D]. */
export function embedding(table: Tensor | PackedMatrix, ids: Tensor): Tensor {
  return run(embeddingOperation, { table, ids });
}
