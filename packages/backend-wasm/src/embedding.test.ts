import {
  backendStarter,
  drawParameter,
  embeddingCases,
  expectGradients,
  testKernel,
  useBackend,
  wasmVariants,
} from "@heddle/conformance";
import { embedding, embeddingOperation, startBackend } from "@heddle/core";
import * as tf from "@tensorflow/tfjs-core";
import { describe, expect, it } from "vitest";
import { embeddingWasm } from "./embedding.ts";
import { wasm } from "./wasm.ts";

it.each([1, 2])(
  "embedding takes ids of another backend, which grow the heap: %i threads",
  async (threads) => {
    const first = await startBackend(await backendStarter("cpu"));
    const ids = tf.tensor1d(new Int32Array(2 ** 23).fill(1), "int32");
    const backend = await startBackend(wasm({ threads }));
    const table = tf.tensor2d([[3], [5]]);
    const { heap } = backend.memory();
    const rows = embedding(table, ids);
    expect(backend.memory().heap).toBeGreaterThan(heap!);
    expect(rows.dataSync().every((value) => value === 5)).toBe(true);
    tf.dispose([ids, table, rows]);
    expect(backend.memory().tensors).toBe(0);
    await backend.dispose();
    await first.dispose();
  },
);

describe.each(wasmVariants)("embedding on wasm %j", (options) => {
  useBackend(wasm(options));
  testKernel(embeddingOperation, embeddingWasm, embeddingCases, { forward: 0, gradient: 1e-6 });

  it("has the gradient that differences give, ids repeating", async () => {
    const table = drawParameter("table", [5, 7]);
    const ids = tf.tensor2d([3, 0, 3, 1, 3, 0], [2, 3], "int32");
    await expectGradients(() => embedding(table.tensor(), ids), [table]);
    ids.dispose();
    table.dispose();
  });

  it.each([-1, 4, 2 ** 31 - 1])("refuses the id %s, which would be beside the table", (id) => {
    tf.tidy(() => {
      expect(() => embedding(tf.ones([4, 2]), tf.tensor1d([0, id], "int32"))).toThrow(
        `embedding: ids must be from 0 to 3, got ${id}`,
      );
    });
  });
});
