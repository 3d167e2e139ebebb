/** What every kernel does to the heap: nothing stays behind, and it works wherever the tensors are. */
import { attention, attentionMaps, causal, dilated, full, pattern, softCap } from "@heddle/attention";
import { drawn, kernelRuns } from "@heddle/conformance";
import type { KernelRun } from "@heddle/conformance";
import { activeBackend, differentiate, startBackend } from "@heddle/core";
import type { BackendWasm } from "@tensorflow/tfjs-backend-wasm";
import * as tf from "@tensorflow/tfjs-core";
import { afterEach, describe, expect, it, vi } from "vitest";
import { machine } from "./machine.ts";
import { wasm } from "./wasm.ts";

/** The allocator of tfjs's module, which its types leave out. */
type Allocator = Record<"_malloc" | "_free", (size: number) => number>;

/** Bytes of each place of the heap that is taken from now on, by us or by tfjs, and not given back. */
function takenFromNow(): ReadonlyMap<number, number> {
  const taken = new Map<number, number>();
  const allocating = (allocate: (bytes: number) => number) => (bytes: number) => {
    const address = allocate(bytes);
    taken.set(address, bytes);
    return address;
  };
  const freeing = (free: (address: number) => unknown) => (address: number) => {
    taken.delete(address >>> 0);
    return free(address) as number;
  };
  const owner = machine();
  const module = (tf.backend() as BackendWasm).wasm as unknown as Allocator;
  const [{ allocate, free }, { _malloc, _free }] = [owner, module];
  vi.spyOn(owner, "allocate").mockImplementation(allocating(allocate));
  vi.spyOn(module, "_malloc").mockImplementation(allocating(_malloc));
  vi.spyOn(owner, "free").mockImplementation(freeing(free));
  vi.spyOn(module, "_free").mockImplementation(freeing(_free));
  return taken;
}

/** The bits of all results of a run. */
function bitsOf({ run }: KernelRun): Uint32Array[] {
  const results = run();
  const bits = results.map((tensor) => new Uint32Array(tensor.dataSync<"float32">().slice().buffer));
  tf.dispose(results);
  return bits;
}

/** Takes all of the heap below 2 GB. */
function fillTo2GB(): void {
  const { allocate } = machine();
  // None is freed: what lies above would be taken again before what is free below.
  for (let bytes = 2 ** 28; bytes >= 16; bytes /= 2) while (allocate(bytes) < 2 ** 31);
}

/** Pairs in no order, so that almost every tile has a mask of its own. */
const scattered = pattern(
  "scattered",
  {},
  ({ query, key }) => query.times(query).plus(key.times(key)).modulo(7).isLess(3),
  { greatestLength: 4000 },
);

describe("the heap", () => {
  afterEach(async () => {
    vi.restoreAllMocks();
    await activeBackend()?.dispose();
  });

  it.each([...new Set(kernelRuns.map(({ operation }) => operation))])(
    "is as it was after 1,000 runs of %s",
    async (name) => {
      await startBackend(wasm({ threads: 1 }));
      const runs = kernelRuns.filter(({ operation }) => operation === name);
      // In the first round kernels are chosen, plans are made, and the scratch grows.
      const round = (): void => runs.forEach(({ run }) => tf.dispose(run()));
      round();
      const taken = takenFromNow();
      const sum = (): number => [...taken.values()].reduce((total, bytes) => total + bytes, 0);
      // In the second what is kept for the next calls comes to be among what is counted.
      round();
      const before = { tensors: tf.memory().numTensors, places: taken.size, bytes: sum() };
      const { byteLength } = machine().memory.buffer;
      for (let done = 0; done < 1000; done += runs.length) round();
      expect({ tensors: tf.memory().numTensors, places: taken.size, bytes: sum() }).toEqual(before);
      expect(machine().memory.buffer.byteLength).toBe(byteLength);
    },
    60_000,
  );

  it.each([full(), causal(), dilated({ window: { before: 300 }, dilation: 2 }), scattered])(
    "takes for attention nothing of the size of queries by keys: $name",
    async (each) => {
      const backend = await startBackend(wasm({ threads: 1 }));
      const run = (length: number): void => {
        const [q, k, v] = ["q", "k", "v"].map((path) => drawn(path, [1, 1, length, 4])) as [
          tf.Tensor,
          tf.Tensor,
          tf.Tensor,
        ];
        const call = { q, k, v, pattern: each, modifiers: [softCap({ cap: 3 })] };
        const map = attentionMaps(call, { rows: [length - 1] });
        const { value, gradients } = differentiate(() => attention(call), [q, k, v]);
        tf.dispose([q, k, v, map, value, ...gradients.map((gradient) => gradient!)]);
      };
      // Kernels are chosen, and the module of the modifier is made.
      run(2);
      const { scratch } = backend.memory();
      const module = (tf.backend() as BackendWasm).wasm as unknown as Allocator;
      const malloc = vi.spyOn(module, "_malloc");
      const length = 2000;
      run(length);
      const ofTensors = malloc.mock.calls.reduce((sum, [bytes]) => sum + bytes, 0);
      expect(ofTensors).toBeGreaterThan(7 * 4 * 4 * length);
      // Not even a byte for each pair, all that was taken together.
      expect(ofTensors + backend.memory().scratch! - scratch!).toBeLessThan(length ** 2);
    },
  );

  it.each([1, 3])(
    "may lie past 2 GB, for %i threads",
    async (threads) => {
      // Tiles of narrow code have the same columns, in which weights are packed.
      const first = await startBackend(wasm({ threads: 1, wide: false }));
      const expected = kernelRuns.map(bitsOf);
      await first.dispose();
      await startBackend(wasm({ threads, wide: false }));
      fillTo2GB();
      const { output, address } = machine();
      let least = Infinity;
      vi.spyOn(machine(), "output").mockImplementation((shape) => {
        const tensor = output(shape);
        if (tensor.size > 0) least = Math.min(least, address(tensor));
        return tensor;
      });
      kernelRuns.forEach((run, i) => expect(bitsOf(run), run.name).toEqual(expected[i]));
      expect(least).toBeGreaterThan(2 ** 31);
    },
    60_000,
  );
});
