import { backendStarter } from "@heddle/conformance";
import { activeBackend, createWeights, linear, startBackend } from "@heddle/core";
import * as tf from "@tensorflow/tfjs-core";
import { afterEach, describe, expect, it } from "vitest";
import { machine } from "./machine.ts";
import { wasm } from "./wasm.ts";

afterEach(async () => {
  while (activeBackend()) await activeBackend()!.dispose();
});

describe("machine", () => {
  it("says that a heap is full, in tfjs's operations too, and goes on when there is room again", async () => {
    const backend = await startBackend(wasm());
    const { allocate, free } = machine();
    const x = tf.ones([32, 32]);
    const taken: number[] = [];
    // What tfjs needs to count its tensors stays free.
    for (let bytes = 2 ** 28; bytes >= 2 ** 11;)
      try {
        taken.push(allocate(bytes));
      } catch {
        bytes /= 2;
      }
    const { tensors } = backend.memory();
    const full =
      /^wasm: heap must have room for \d+ more bytes \(it ends at 4 GiB\), got none\. Dispose tensors/;
    expect(() => tf.tensor(new Float32Array(1024))).toThrow(full);
    expect(() => tf.add(x, x)).toThrow(full);
    // The first kernel: what is measured for it needs room.
    expect(() => linear({ x, weight: x })).toThrow(full);
    expect(backend.memory().tensors).toBe(tensors);
    taken.forEach(free);
    const y = linear({ x, weight: x });
    expect(y.dataSync()[0]).toBe(32);
    tf.dispose([x, y]);
    expect(backend.memory().tensors).toBe(0);
  });

  it("never takes a place that ends behind 4 GiB, where tfjs's malloc gives one", async () => {
    await startBackend(wasm({ threads: 1 }));
    const { allocate, free, memory } = machine();
    const big = 2 ** 29;
    const taken: number[] = [];
    // The last place of this size leaves less than another above it, free.
    for (let i = 0; i < 7; i++) taken.push(allocate(big));
    const rest = allocate(2 ** 28 + 2 ** 27);
    const behind = allocate(2 ** 20);
    free(rest);
    expect(behind).toBeGreaterThan(2 ** 31);
    expect(() => allocate(big)).toThrow("wasm: heap must have room");
    expect(memory.buffer.byteLength).toBeLessThanOrEqual(2 ** 32);
    // What was free is free still.
    const again = allocate(2 ** 28 + 2 ** 27);
    expect(again).toBe(rest);
    [...taken, behind, again].forEach(free);
  });

  it("refuses what never fits into the heap, and goes on", async () => {
    const backend = await startBackend(wasm({ threads: 1 }));
    const { allocate, free } = machine();
    const [x, weight] = [tf.ones([2 ** 15, 1]), tf.ones([2 ** 15, 1])];
    const { tensors } = backend.memory();
    expect(() => linear({ x, weight })).toThrow("wasm: heap must have room for 4294967296 more bytes");
    expect(backend.memory().tensors).toBe(tensors);
    const { scratch } = machine();
    for (const less of [0, 4, 2 ** 16 - 8, 2 ** 16])
      expect(() => allocate(2 ** 32 - less)).toThrow("wasm: heap must have room");
    free(allocate(2 ** 31));
    expect(machine().scratch).toBe(scratch);
    tf.dispose([x, weight]);
    expect(backend.memory().tensors).toBe(0);
  });

  it("is gone with its backend: what was packed there is refused, in the words for every tensor", async () => {
    const first = await startBackend(wasm());
    const weights = createWeights({ seed: 3 });
    const layer = weights.linear("a", { in: 4, out: 4 });
    const x = tf.ones([2, 4]);
    tf.dispose(layer(x));
    await first.dispose();
    for (const next of [await backendStarter("cpu"), wasm()]) {
      const backend = await startBackend(next);
      const again = tf.ones([2, 4]);
      expect(() => layer(again)).toThrow(
        'tensor: must be read before its backend "wasm" is disposed, got a read after',
      );
      again.dispose();
      await backend.dispose();
    }
    x.dispose();
    weights.dispose();
  });
});
