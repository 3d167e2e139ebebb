/// <reference types="vite/client" />
import { activeBackend, linear, startBackend } from "@heddle/core";
import * as tf from "@tensorflow/tfjs-core";
import { afterEach, describe, expect, it } from "vitest";
import { wasm } from "./wasm.ts";
// oxlint-disable-next-line import/default -- Vite makes it
import worker from "./worker.ts?worker&url";

/** A product of small integers, so that all orders of summation agree. */
async function product(): Promise<Float32Array> {
  const values = (rows: number): tf.Tensor =>
    tf.tensor2d(
      Float32Array.from({ length: rows * 33 }, (_, i) => ((i * 37) % 11) - 5),
      [rows, 33],
    );
  const result = tf.tidy(() => linear({ x: values(5), weight: values(7) }));
  const found = await result.data<"float32">();
  result.dispose();
  return found;
}

afterEach(async () => {
  while (activeBackend()) await activeBackend()!.dispose();
});

describe("wasm in a page", () => {
  it("is isolated, so that memory can be shared with workers", () => {
    expect(crossOriginIsolated).toBe(true);
    expect(new SharedArrayBuffer(8).byteLength).toBe(8);
  });

  it("shares out the work among workers, from a blob or from their file", async () => {
    const results: Float32Array[] = [];
    for (const options of [{ threads: 1 }, { threads: 3 }, { threads: 3, worker }]) {
      const backend = await startBackend(wasm(options));
      expect(backend.description).toContain(options.threads === 1 ? "1 thread" : "3 threads");
      for (let i = 0; i < 30; i++) {
        results.push(await product());
        // Workers read their messages meanwhile.
        await new Promise((resolve) => setTimeout(resolve, 1));
      }
      expect(backend.description).toContain("128 bits wide (only Node lets a program set V8's flags)");
      expect(backend.memory().tensors).toBe(0);
      await backend.dispose();
    }
    for (const values of results) expect(values).toEqual(results[0]);
  });

  it("says where it looked for the binary", async () => {
    await expect(startBackend(wasm({ wasm: "/nowhere/" }))).rejects.toThrow(
      "wasm: tfjs-backend-wasm-simd.wasm must load from /nowhere/tfjs-backend-wasm-simd.wasm, got: ",
    );
  });
});
