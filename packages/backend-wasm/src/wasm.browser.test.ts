/// <reference types="vite/client" />
import { attention, slidingWindow } from "@heddle/attention";
import { activeBackend, explainRun, linear, randomStream, startBackend, withKernels } from "@heddle/core";
import * as tf from "@tensorflow/tfjs-core";
import simd from "@tensorflow/tfjs-backend-wasm/wasm-out/tfjs-backend-wasm-simd.wasm?url";
import { afterEach, describe, expect, it } from "vitest";
import { wasm } from "./wasm.ts";
// oxlint-disable-next-line import/default -- Vite makes it
import worker from "./worker.ts?worker&url";

const [rows, inner, columns] = [5, 33, 7];
const value = (i: number): number => ((i * 37) % 11) - 5;
const left = Float32Array.from({ length: rows * inner }, (_, i) => value(i));
const right = Float32Array.from({ length: inner * columns }, (_, i) => value(i + 3));

/** The same product in plain loops; every number is a small integer, so that all orders of summation agree. */
const expected = Float32Array.from({ length: rows * columns }, (_, at) => {
  const [row, column] = [Math.floor(at / columns), at % columns];
  let sum = 0;
  for (let k = 0; k < inner; k++) sum += left[row * inner + k]! * right[k * columns + column]!;
  return sum;
});

async function product(): Promise<Float32Array> {
  const result = tf.tidy(() =>
    tf.matMul(tf.tensor2d(left, [rows, inner]), tf.tensor2d(right, [inner, columns])),
  );
  const values = await result.data<"float32">();
  result.dispose();
  return values;
}

afterEach(async () => {
  while (activeBackend()) await activeBackend()!.dispose();
});

describe("wasm in a page", () => {
  it("is isolated, so that memory can be shared with workers", () => {
    expect(crossOriginIsolated).toBe(true);
    expect(new SharedArrayBuffer(8).byteLength).toBe(8);
  });

  it("multiplies on wasm", async () => {
    const backend = await startBackend(wasm({ wasm: simd }));
    expect(backend.name).toBe("wasm");
    expect(await product()).toEqual(expected);
    expect(backend.memory().tensors).toBe(0);
  });

  it("runs our own kernels, which give what the references give", async () => {
    const backend = await startBackend(wasm({ wasm: simd }));
    const drawn = (path: string, ...shape: number[]): tf.Tensor =>
      tf.tensor(randomStream({ seed: 2, path }).normals(shape.reduce((a, b) => a * b, 1)), shape);
    const [x, weight] = [drawn("x", 37, 50), drawn("weight", 70, 50)];
    const [q, k, v] = ["q", "k", "v"].map((name) => drawn(name, 1, 2, 90, 24)) as [
      tf.Tensor,
      tf.Tensor,
      tf.Tensor,
    ];
    const both = (): tf.Tensor[] => [
      linear({ x, weight, activation: "gelu" }),
      attention({ q, k, v, pattern: slidingWindow({ before: 30, after: 5 }) }),
    ];
    const run = explainRun(() => tf.tidy(both));
    expect(run.choices.map(({ explanation }) => explanation.kernel)).toEqual([
      "linear.f32.wasm.panels",
      "attention.f32.wasm.tile24x64",
    ]);
    const references = { linear: "linear.reference", attention: "attention.reference" };
    const expectedValues = withKernels(references, () => tf.tidy(both));
    for (const [i, tensor] of run.value.entries()) {
      const [found, wanted] = [await tensor.data<"float32">(), await expectedValues[i]!.data<"float32">()];
      const largest = found.reduce((most, one, at) => Math.max(most, Math.abs(one - wanted[at]!)), 0);
      expect(largest).toBeLessThan(1e-5);
    }
    expect(backend.description).toContain("128 bits wide (only Node lets a program set V8's flags)");
    tf.dispose([x, weight, q, k, v, run.value, expectedValues]);
    expect(backend.memory().tensors).toBe(0);
  });

  it("shares out the work among workers, from a blob or from their file", async () => {
    const results: Float32Array[] = [];
    for (const options of [{ threads: 1 }, { threads: 3 }, { threads: 3, worker }]) {
      const backend = await startBackend(wasm({ wasm: simd, ...options }));
      expect(backend.description).toContain(options.threads === 1 ? "1 thread" : "3 threads");
      const [x, weight] = [left, right].map((values, i) =>
        tf.tensor2d(values, i ? [columns, inner] : [rows, inner]),
      );
      for (let i = 0; i < 30; i++) {
        const y = linear({ x: x!, weight: weight! });
        results.push(await y.data<"float32">());
        y.dispose();
        // Workers read their messages meanwhile.
        await new Promise((resolve) => setTimeout(resolve, 1));
      }
      tf.dispose([x!, weight!]);
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
