import { cacheWriteOperation, createKeyValueCache } from "@heddle/attention";
import { backendStarter, cacheWriteCases, testKernel, useBackend } from "@heddle/conformance";
import { explain, startBackend } from "@heddle/core";
import * as tf from "@tensorflow/tfjs-core";
import { describe, expect, it } from "vitest";
import { cacheWriteWasm } from "./cache-write.ts";
import { wasm } from "./wasm.ts";

it("cacheWrite takes rows of another backend, which grow the heap", async () => {
  const first = await startBackend(await backendStarter("cpu"));
  const rows = tf.tensor4d(new Float32Array(2 ** 22).fill(3), [1, 2, 2 ** 16, 32]);
  const backend = await startBackend(wasm({ threads: 1 }));
  const cache = createKeyValueCache({ layers: 1, capacity: 2 ** 16 + 1 });
  const { k } = cache.layer(0).append(rows, rows);
  const values = tf.tidy(() => tf.sum(k, [2, 3]).dataSync());
  expect([...values]).toEqual([3 * 2 ** 21, 3 * 2 ** 21]);
  rows.dispose();
  cache.dispose();
  expect(backend.memory().tensors).toBe(0);
  await backend.dispose();
  await first.dispose();
});

describe("cacheWrite on wasm", () => {
  useBackend("wasm");
  testKernel(cacheWriteOperation, cacheWriteWasm, cacheWriteCases, { forward: 0 });

  it("comes with the backend, and explain names it", () => {
    tf.tidy(() => {
      const call = { buffer: tf.zeros([1, 1, 4, 2]), rows: tf.ones([1, 1, 1, 2]), slots: [2] };
      expect(explain(cacheWriteOperation, call).kernel).toBe("cacheWrite.f32.wasm.inPlace");
      tf.reshape(call.buffer, [8]);
      expect(explain(cacheWriteOperation, call).toString()).toBe(
        "cacheWrite on wasm: cacheWrite.reference, not cacheWrite.f32.wasm.inPlace (the buffer is shared by 2 tensors)",
      );
    });
  });

  it("keeps a cache in the same memory from step to step, and a read in between is not kept", async () => {
    const cache = createKeyValueCache({ layers: 1, capacity: 3 });
    const ids = new Set<object>();
    for (let step = 0; step < 3; step++) {
      const rows = tf.tensor4d([step + 1, step + 1], [1, 1, 1, 2]);
      const { k, v } = cache.layer(0).append(rows, rows);
      cache.advance(1);
      ids.add(k.dataId);
      expect([...(await k.data())]).toEqual(
        [0, 1, 2].flatMap((slot) => (slot <= step ? [slot + 1, slot + 1] : [0, 0])),
      );
      expect([...(await v.data())]).toEqual([...(await k.data())]);
      rows.dispose();
    }
    expect(ids.size).toBe(1);
    cache.dispose();
  });
});
