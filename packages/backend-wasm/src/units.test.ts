/**
 * What threads rely on: not a bit of a kernel's results depends on how its units are shared out, on their order, or on
 * what a worker's memory held before.
 */
import { kernelRuns, useBackend, wasmVariants } from "@heddle/conformance";
import { randomStream } from "@heddle/core";
import * as tf from "@tensorflow/tfjs-core";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { machine } from "./machine.ts";
import type { Machine, Word } from "./machine.ts";
import { sampleInputs, sampleResults } from "./samples.ts";
import { wasm } from "./wasm.ts";

/** Units from `begin` to `end`, for a worker whose memory is new, or is what the last one left. */
interface Chunk {
  readonly begin: number;
  readonly end: number;
  readonly isNewWorker: boolean;
}

/** The ways to share out so many units; the first is that of one thread. */
const ways: Readonly<Record<string, (units: number) => Chunk[]>> = {
  "all at once": (units) => [{ begin: 0, end: units, isNewWorker: true }],
  "one by one, the last one first": (units) =>
    Array.from({ length: units }, (_, i) => ({ begin: units - 1 - i, end: units - i, isNewWorker: false })),
  "chunks in any order, each by a new worker": (units) => {
    const stream = randomStream({ seed: 8, path: "chunks" });
    const chunks: Chunk[] = [];
    for (let begin = 0; begin < units;) {
      const end = Math.min(units, begin + 1 + stream.integer(chunks.length, 4));
      chunks.push({ begin, end, isNewWorker: true });
      begin = end;
    }
    const keys = stream.normals(chunks.length);
    return chunks
      .map((chunk, i) => ({ chunk, key: keys[i]! }))
      .toSorted((a, b) => a.key - b.key)
      .map(({ chunk }) => chunk);
  },
};

/** Words behind a worker's memory that nobody may write to. */
const GUARD = 64;

/** Runs every kernel in chunks; outputs and new workers' memory begin full of NaNs whose bits are `fill`. */
function runInChunks(owner: Machine, chunksOf: (units: number) => Chunk[], fill: number): Set<string> {
  const { allocate, free, memory, output } = owner;
  const { code } = owner.choice!;
  const names = new Set<string>();
  vi.spyOn(owner, "output").mockImplementation((shape) => {
    const tensor = output(shape);
    new Int32Array(memory.buffer, owner.address(tensor), tensor.size).fill(fill);
    return tensor;
  });
  vi.spyOn(owner, "run").mockImplementation((kernel: string, words: readonly Word[]) => {
    names.add(kernel);
    const task = allocate(4 * words.length);
    new Int32Array(memory.buffer, task, words.length).set(words);
    const own = Math.ceil((code[`${kernel}_scratch`]?.(task) ?? 0) / 4);
    const allocated = allocate(4 * (own + GUARD) + 64);
    const scratch = Math.ceil(allocated / 64) * 64;
    const held = new Int32Array(memory.buffer, scratch, own + GUARD).fill(fill);
    for (const { begin, end, isNewWorker } of chunksOf(code[`${kernel}_units`]!(task))) {
      if (isNewWorker) held.fill(fill);
      code[kernel]!(task, begin, end, scratch);
    }
    expect(
      held.subarray(own).every((word) => word === fill),
      `${kernel} keeps to its memory`,
    ).toBe(true);
    expect([...new Int32Array(memory.buffer, task, words.length)], `${kernel} leaves its task`).toEqual(
      words.map((word) => word | 0),
    );
    free(allocated);
    free(task);
  });
  return names;
}

describe.each(wasmVariants.filter(({ threads }) => threads === 1))("units on wasm %j", (options) => {
  useBackend(wasm(options));
  beforeEach(() => {
    // The first kernel chooses the tile.
    tf.dispose(kernelRuns.at(-1)!.run());
  });
  afterEach(() => void vi.restoreAllMocks());

  const bitsIn = (way: number, run: () => tf.Tensor[]): { bits: Uint32Array[]; names: Set<string> } => {
    const names = runInChunks(machine(), Object.values(ways)[way]!, -1 - way);
    const results = run();
    vi.restoreAllMocks();
    const bits = results.map((tensor) => new Uint32Array(tensor.dataSync<"float32">().slice().buffer));
    tf.dispose(results);
    return { bits, names };
  };

  it.each(kernelRuns)("may be shared out in any way: $name", ({ run }) => {
    const [expected, ...others] = Object.keys(ways).map((_, way) => bitsIn(way, run).bits);
    others.forEach((bits, i) => expect(bits, Object.keys(ways)[i + 1]).toEqual(expected));
  });

  it("are those of every kernel, in the samples too", () => {
    const names = new Set(kernelRuns.flatMap(({ run }) => [...bitsIn(0, run).names]));
    const { calls, dispose } = sampleInputs();
    const sampled = bitsIn(2, () => tf.tidy(() => sampleResults(calls)));
    expect(sampled.bits).toEqual(bitsIn(1, () => tf.tidy(() => sampleResults(calls))).bits);
    dispose();
    const exported = Object.keys(machine().choice!.code)
      .filter((name) => name.endsWith("_units"))
      .map((name) => name.slice(0, -"_units".length));
    expect([...names].toSorted()).toEqual(exported.toSorted());
    expect([...sampled.names].toSorted()).toEqual([...names].toSorted());
  });
});
