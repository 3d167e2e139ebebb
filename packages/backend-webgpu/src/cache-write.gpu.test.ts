import { cacheWriteOperation, createKeyValueCache, splitHeads } from "@heddle/attention";
import { cacheWriteCases, drawn, testKernel, useBackend } from "@heddle/conformance";
import { activeBackend, explain, run } from "@heddle/core";
import * as tf from "@tensorflow/tfjs-core";
import { describe, expect, it } from "vitest";
import { cacheWriteWebGpu } from "./cache-write.ts";

describe("cacheWrite on webgpu", () => {
  useBackend("webgpu");
  testKernel(cacheWriteOperation, cacheWriteWebGpu, cacheWriteCases, { forward: 0 });

  it("comes with the backend, and explain names it", () => {
    tf.tidy(() => {
      const call = { buffer: tf.zeros([1, 1, 4, 2]), rows: tf.ones([1, 1, 1, 2]), slots: [2] };
      expect(explain(cacheWriteOperation, call).kernel).toBe("cacheWrite.f32.webgpu.inPlace");
      tf.reshape(call.buffer, [8]);
      expect(explain(cacheWriteOperation, call).toString()).toBe(
        "cacheWrite on webgpu: cacheWrite.reference, not cacheWrite.f32.webgpu.inPlace (the buffer is shared by 2 tensors)",
      );
    });
  });

  it.each([
    [16, 2, 4, 8],
    [11, 3, 3, 1],
  ])(
    "reads heads where they lie in rows of %i, %i of %i from %i on",
    async (width, heads, headWidth, begin) => {
      const length = 3;
      const value = (...place: number[]): number => place.reduce((all, part) => 10 * all + part, 0);
      const x = tf.tensor3d(
        [0, 1].map((b) =>
          Array.from({ length }, (_, l) => Array.from({ length: width }, (_unused, w) => value(b + 1, l, w))),
        ),
      );
      const rows = splitHeads({ x, heads, headWidth, begin });
      const buffer = tf.zeros([2, heads, 6, headWidth]);
      const written = tf.tidy(() => run(cacheWriteOperation, { buffer, rows, slots: [1, 3] }));
      const values = (await written.array()) as number[][][][];
      const expected = [1, 3].map((slot, b) =>
        Array.from({ length: heads }, (_, h) =>
          Array.from({ length: 6 }, (_unused, c) =>
            Array.from({ length: headWidth }, (_none, d) =>
              c >= slot && c < slot + length ? value(b + 1, c - slot, begin + h * headWidth + d) : 0,
            ),
          ),
        ),
      );
      expect(values).toEqual(expected);
      tf.dispose([x, rows, buffer, written]);
    },
  );

  it.each([
    ["alike", [2, 2, 2, 2]],
    ["ragged", [0, 3, 1, 4]],
  ])("is one program for all batch rows, with slots that are %s", async (_, slots) => {
    const [buffer, rows] = [drawn("buffer", [4, 2, 5, 3]), drawn("rows", [4, 2, 1, 3])];
    const call = { buffer, rows, slots };
    await activeBackend()!.finish();
    tf.tidy(() => void run(cacheWriteOperation, call));
    expect(Reflect.get(tf.backend(), "dispatchCountInPass")).toBe(1);
    tf.dispose([buffer, rows]);
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
