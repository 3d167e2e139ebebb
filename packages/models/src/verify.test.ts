import { slidingWindow } from "@heddle/attention";
import { fromBlob } from "@heddle/checkpoints";
import type { CheckpointFiles } from "@heddle/checkpoints";
import { backendStarter } from "@heddle/conformance";
import {
  HeddleError,
  linearOperation,
  activeBackend,
  createWeights,
  kernel,
  startBackend,
} from "@heddle/core";
import type { LinearCall, BackendStarter, Kernel, WeightTree } from "@heddle/core";
import * as tf from "@tensorflow/tfjs-core";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { bert } from "./bert/bert.ts";
import { gpt } from "./gpt/gpt.ts";
import { verify } from "./verify.ts";
import type { VerifyOptions } from "./verify.ts";

const sizes = { vocabularySize: 11, maxLength: 12, width: 8, layers: 2, heads: 2 };
const inputs = {
  ids: [
    [1, 2, 3, 4],
    [5, 6, 7, 0],
  ],
  attentionMask: [
    [1, 1, 1, 1],
    [1, 1, 1, 0],
  ],
};
const [cpu, wasm] = await Promise.all([backendStarter("cpu"), backendStarter("wasm", { threads: 1 })]);
const seed = { seed: 1 };

let running = 0;

/** A starter that counts, under its own or another name, with further kernels. */
function counted(starter: BackendStarter, more: { name?: string; kernel?: Kernel<LinearCall> } = {}) {
  const { name = starter.name, kernel: own } = more;
  return {
    name,
    async start() {
      const started = await starter.start();
      running++;
      return {
        ...started,
        kernels: own ? [own, ...started.kernels] : started.kernels,
        async stop() {
          running--;
          await started.stop?.();
        },
      };
    },
  } satisfies BackendStarter;
}

/** `linear`, changed from its fifth call on: the second layer's first. */
function changedLater(change: (y: tf.Tensor) => tf.Tensor): Kernel<LinearCall> {
  let calls = 0;
  return kernel(linearOperation, {
    name: "linear.f32.changed",
    backend: "any",
    unsupported: () => [],
    forward: (call, context) => {
      const { output } = linearOperation.reference.forward(call, context);
      return { output: calls++ < 4 ? output : change(output) };
    },
  });
}

const both: VerifyOptions = { backends: [counted(cpu), counted(wasm)] };
const define = (weights: WeightTree) => gpt(sizes, weights);

/** A saved encoder. */
async function directory(): Promise<Map<string, Blob>> {
  const files = new Map<string, Blob>();
  const backend = await startBackend(cpu);
  const model = bert({ ...sizes, nextSentence: true }, createWeights(seed));
  await model.save(files, { dtype: "F16" });
  model.dispose();
  await backend.dispose();
  return files;
}

describe("verify", () => {
  let tensors: number;
  beforeEach(() => {
    tensors = tf.engine().state.numTensors;
  });
  afterEach(() => {
    expect(running, "backends left running").toBe(0);
    expect(tf.engine().state.numTensors - tensors, "tensors leaked").toBe(0);
    expect(tf.engine().backendNames()).toEqual([]);
  });

  it("finds two backends alike in every layer of a decoder", async () => {
    const { backends, layers, worst } = await verify(define, seed, inputs, both);
    expect(backends).toEqual(["plain JavaScript, 1 thread", expect.stringContaining("WebAssembly")]);
    expect(layers.map(({ layer }) => layer)).toEqual(["embeddings", "layers.0", "layers.1", "logits"]);
    for (const { difference, cosine } of layers) {
      expect(difference).toBeLessThan(1e-5);
      expect(cosine).toBeGreaterThan(1 - 1e-6);
      expect(cosine).toBeLessThanOrEqual(1);
    }
    expect(worst.difference).toBe(Math.max(...layers.map(({ difference }) => difference)));
  });

  it("compares an encoder's heads too, from a directory, in 16-bit storage", async () => {
    const files = await directory();
    const { layers, worst } = await verify(bert, files, inputs, { ...both, storage: "stored" });
    expect(layers.map(({ layer }) => layer)).toEqual([
      "embeddings",
      "layers.0",
      "layers.1",
      "pooled",
      "nextSentenceLogits",
      "logits",
    ]);
    expect(worst.difference).toBeLessThan(1e-5);
  });

  it("names the layer in which a kernel goes wrong", async () => {
    const wrong = counted(cpu, { kernel: changedLater((y) => tf.add(y, 0.5)) });
    const { layers, worst } = await verify(define, seed, inputs, { backends: [counted(cpu), wrong] });
    const [embeddings, first, second, logits] = layers;
    expect(embeddings).toEqual({ layer: "embeddings", difference: 0, cosine: 1 });
    expect(first).toEqual({ layer: "layers.0", difference: 0, cosine: 1 });
    expect(second!.difference).toBeGreaterThan(1e-3);
    expect(logits!.difference).toBeGreaterThan(1e-4);
    expect(worst).toBe(second!.difference >= logits!.difference ? second : logits);
    expect(second!.cosine).toBeLessThan(1 - 1e-6);
  });

  it("counts what is no number as infinitely wrong", async () => {
    const wrong = counted(cpu, { kernel: changedLater((y) => tf.mul(y, NaN)) });
    const { worst } = await verify(define, seed, inputs, { backends: [counted(cpu), wrong] });
    expect(worst).toEqual({ layer: "layers.1", difference: Infinity, cosine: NaN });
  });

  it("runs a swapped model, and makes what was active active again", async () => {
    const outer = await startBackend(counted(cpu, { name: "outer" }));
    const x = tf.tensor1d([1, 2]);
    const { tensors: before } = outer.memory();
    const local = (weights: WeightTree) => define(weights).with({ attention: slidingWindow({ before: 1 }) });
    const { worst } = await verify(local, seed, inputs, both);
    expect(worst.difference).toBeLessThan(1e-5);
    expect(activeBackend()).toBe(outer);
    expect(tf.getBackend()).toBe("outer");
    expect(outer.memory().tensors).toBe(before);
    expect([...x.dataSync()]).toEqual([1, 2]);
    x.dispose();
    await outer.dispose();
  });

  it("gives everything back when one of the two fails", async () => {
    const broken = (message: string): Kernel<LinearCall> =>
      changedLater(() => {
        throw new Error(message);
      });
    const none: BackendStarter = { name: "none", start: () => Promise.reject(new Error("no such device")) };
    const [good, bad] = [counted(wasm), counted(cpu, { kernel: broken("a kernel broke") })];
    for (const backends of [
      [good, bad],
      [bad, good],
    ] as const)
      await expect(verify(define, seed, inputs, { backends })).rejects.toThrow("a kernel broke");
    // Of a backend that cannot even end, the first thing that went wrong is told.
    const endless = (starter: BackendStarter): BackendStarter => ({
      name: starter.name,
      async start() {
        const started = await starter.start();
        return {
          ...started,
          async stop() {
            await started.stop?.();
            throw new Error("no end");
          },
        };
      },
    });
    for (const [compared, message] of [
      [bad, "a kernel broke"],
      [counted(cpu), "no end"],
    ] as const)
      await expect(verify(define, seed, inputs, { backends: [good, endless(compared)] })).rejects.toThrow(
        message,
      );
    for (const backends of [
      [good, none],
      [none, good],
    ] as const)
      await expect(verify(define, seed, inputs, { backends })).rejects.toThrow(
        "startBackend: no backend can run here. none: no such device",
      );
    await expect(verify(gpt, new Map(), inputs, both)).rejects.toThrow("files: a checkpoint must be there");
    const ids = [[1, 11]];
    await expect(verify(define, seed, { ids }, both)).rejects.toThrow("gpt: ids[0][1] must be from 0 to 10");
    const failing = (): never => {
      throw new Error("no definition");
    };
    await expect(verify(failing, seed, inputs, both)).rejects.toThrow("no definition");
  });

  it("stops when it is told to", async () => {
    const reason = new Error("enough");
    await expect(verify(define, seed, inputs, { ...both, signal: AbortSignal.abort(reason) })).rejects.toBe(
      reason,
    );
    const controller = new AbortController();
    const late = (weights: WeightTree) => {
      controller.abort(reason);
      return define(weights);
    };
    await expect(verify(late, seed, inputs, { ...both, signal: controller.signal })).rejects.toBe(reason);
  });

  it("notices that another backend became active, and a definition that differs", async () => {
    const files = await directory();
    let other: ReturnType<typeof startBackend> | undefined;
    const source: CheckpointFiles = {
      name: "slow files",
      async open(file) {
        await (other ??= startBackend(counted(cpu, { name: "other" })));
        const blob = files.get(file);
        return blob && fromBlob(blob, file);
      },
    };
    await expect(
      verify(bert, source, inputs, { backends: [counted(wasm), counted(cpu)] }),
    ).rejects.toMatchObject({
      code: "invalid-state",
      message: 'verify: backends must stay active (wasm), got "other"',
    });
    await (await other!).dispose();
    let layers = 0;
    const growing = (weights: WeightTree) => gpt({ ...sizes, vocabularySize: 11 + layers++ }, weights);
    await expect(verify(growing, seed, inputs, both)).rejects.toThrow(
      "verify: definition: logits must give 88 values each time, got 96",
    );
  });

  it.each([
    ["no options", [define, seed, inputs], "verify: options must be an object of backends"],
    [
      "an unknown option",
      [define, seed, inputs, { ...both, backend: 1 }],
      'registry, storage, signal, got "backend"',
    ],
    ["one backend", [define, seed, inputs, { backends: [cpu] }], "verify: backends must be two starters"],
    [
      "names of backends",
      [define, seed, inputs, { backends: ["cpu", "wasm"] }],
      "verify: backends must be two starters",
    ],
    [
      "a signal that is none",
      [define, seed, inputs, { ...both, signal: 1 }],
      "verify: signal must be an AbortSignal",
    ],
    ["no definition", [undefined, seed, inputs, both], "verify: definition must be a family, or a function"],
    ["a model", [{}, seed, inputs, both], "verify: definition must be a family, or a function"],
    ["a family with a seed", [gpt, seed, inputs, both], "verify: weightsSource must be a directory"],
    [
      "a function with a directory",
      [define, "./gpt2", inputs, both],
      "verify: weightsSource must be { seed }",
    ],
    [
      "a seed below 0",
      [define, { seed: -1 }, inputs, both],
      "verify: weightsSource.seed must be an integer >= 0",
    ],
    ["a definition of nothing", [() => 1, seed, inputs, both], "verify: definition must give a model, got 1"],
    ["no inputs", [define, seed, undefined, both], "gpt: ids must be an array"],
  ])("refuses %s", async (_, given, message) => {
    const error = await (verify as (...all: unknown[]) => Promise<unknown>)(...given).catch(
      (e: unknown) => e,
    );
    expect(error).toBeInstanceOf(HeddleError);
    expect((error as Error).message).toContain(message);
  });

  it("refuses a backend that runs already", async () => {
    const outer = await startBackend(cpu);
    await expect(verify(define, seed, inputs, both)).rejects.toMatchObject({ code: "invalid-state" });
    expect(activeBackend()).toBe(outer);
    await outer.dispose();
  });
});
