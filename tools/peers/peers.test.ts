import * as tf from "@tensorflow/tfjs-core";
import { wasm } from "@heddle/backend-wasm";
import { createWeights, randomStream, startBackend } from "@heddle/core";
import type { Backend } from "@heddle/core";
import { bert, gpt, longformer } from "@heddle/models";
import type { Model } from "@heddle/models";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { differenceOf } from "./agreement.ts";
import { prepareHeddle } from "./heddle.ts";
import type { AbsentPeer, AttentionWork, LayerWork, LinearWork, Peer, Work } from "./peer.ts";
import { startPeers } from "./start.ts";
import { startTfjs } from "./tfjs.ts";

function values(count: number, path: string, seed: number): Float32Array<ArrayBuffer> {
  return randomStream({ seed, path })
    .uniforms(count)
    .map((value) => 2 * value - 1);
}

function linearWork(widths: readonly number[], seed: number, activation?: "gelu"): LinearWork {
  const layers = widths.slice(1).map((out, i): LayerWork => {
    const into = widths[i]!;
    return { into, out, weight: values(into * out, `w${i}`, seed), bias: values(out, `b${i}`, seed) };
  });
  return {
    kind: "linear",
    rows: 3,
    x: values(3 * widths[0]!, "x", seed),
    layers,
    ...(activation && { activation }),
  };
}

function attentionWork(isCausal: boolean, seed: number): AttentionWork {
  const [heads, length, width] = [2, 9, 8];
  const part = (name: string): Float32Array<ArrayBuffer> => values(heads * length * width, name, seed);
  const [q, k, v] = [part("q"), part("k"), part("v")];
  return { kind: "attention", heads, length, width, isCausal, q, k, v };
}

/** Abramowitz and Stegun 7.1.26, within 1.5e-7. */
function erf(x: number): number {
  const t = 1 / (1 + 0.3275911 * Math.abs(x));
  const p = ((((1.061405429 * t - 1.453152027) * t + 1.421413741) * t - 0.284496736) * t + 0.254829592) * t;
  return Math.sign(x) * (1 - p * Math.exp(-x * x));
}

function layerOf(x: Float64Array, { into, out, weight, bias }: LayerWork): Float64Array {
  return Float64Array.from({ length: (x.length / into) * out }, (_, at) => {
    const [row, j] = [Math.floor(at / out), at % out];
    let sum = bias[j]!;
    for (let i = 0; i < into; i++) sum += x[row * into + i]! * weight[j * into + i]!;
    return sum;
  });
}

function attentionOf({ heads, length, width, isCausal, q, k, v }: AttentionWork): Float32Array {
  const result = new Float32Array(q.length);
  for (let row = 0; row < heads * length; row++) {
    const first = Math.floor(row / length) * length;
    const keys = isCausal ? (row % length) + 1 : length;
    const weights = Array.from({ length: keys }, (_, key) => {
      let score = 0;
      for (let i = 0; i < width; i++) score += q[row * width + i]! * k[(first + key) * width + i]!;
      return Math.exp(score / Math.sqrt(width));
    });
    const total = weights.reduce((sum, weight) => sum + weight, 0);
    for (let i = 0; i < width; i++)
      result[row * width + i] =
        weights.reduce((sum, weight, key) => sum + weight * v[(first + key) * width + i]!, 0) / total;
  }
  return result;
}

/** Of a single data set, for what is written out above; models are compared with ours, which goldens prove. */
function expectedOf(work: LinearWork | AttentionWork): Float32Array {
  if (work.kind === "attention") return attentionOf(work);
  return Float32Array.from(
    work.layers.reduce<Float64Array>((x, layer) => {
      const y = layerOf(x, layer);
      return work.activation ? y.map((value) => (value * (1 + erf(value * Math.SQRT1_2))) / 2) : y;
    }, Float64Array.from(work.x)),
  );
}

/** Saves a small model whose parameters are all far from 0 and 1. */
async function saved(folder: string, name: string, model: Model): Promise<string> {
  for (const parameter of model.parameters)
    parameter.assign(values(parameter.size, parameter.name, 5).map((value) => value / 2));
  await model.save(join(folder, name));
  model.dispose();
  return join(folder, name);
}

const size = { vocabularySize: 30, width: 16, layers: 2, heads: 2 } as const;
const encoder = { ...size, head: "none", pooler: false } as const;
const integers = (count: number, seed: number): Int32Array<ArrayBuffer> =>
  Int32Array.from({ length: count }, (_, i) => 2 + ((7 * i + 3 * seed) % 28));

/** Two data sets of every kind that stands on a saved model. */
async function modelWorks(folder: string): Promise<Record<string, readonly Work[]>> {
  const of = (make: (seed: number) => Work): Work[] => [1, 2].map(make);
  const bertFolder = await saved(folder, "bert", bert(encoder, createWeights()));
  const longformerFolder = await saved(
    folder,
    "longformer",
    longformer({ ...encoder, maxLength: 16, window: 4 }, createWeights()),
  );
  const gptFolder = await saved(folder, "gpt", gpt({ ...size, maxLength: 16 }, createWeights()));
  const grid = { batch: 2, length: 7 };
  const all = new Int32Array(14).fill(1);
  const padded = Int32Array.from(all, (_, i) => (i % 7 < 4 || i < 7 ? 1 : 0));
  const [heads, past, width] = [2, 5, 8];
  return {
    bert: of((seed) => ({
      kind: "encoder",
      directory: bertFolder,
      ...grid,
      ids: integers(14, seed),
      keep: all,
    })),
    "bert with padding": of((seed) => ({
      kind: "encoder",
      directory: bertFolder,
      ...grid,
      ids: integers(14, seed),
      keep: padded,
    })),
    "longformer, dense": of((seed) => ({
      kind: "encoder",
      directory: longformerFolder,
      ...grid,
      ids: integers(14, seed),
      keep: all,
      dense: true,
    })),
    "a token of gpt": of((seed) => ({
      kind: "decode",
      directory: gptFolder,
      token: 3 * seed,
      heads,
      width,
      past,
      cache: ["k0", "v0", "k1", "v1"].map((part) => values(heads * past * width, part, seed)),
    })),
    "training of gpt": of((seed) => ({
      kind: "training",
      directory: gptFolder,
      batch: 2,
      length: 6,
      steps: [seed, seed + 1].map((step) => integers(14, step)),
    })),
    "attention backward": of((seed) => ({
      ...attentionWork(false, seed),
      dy: values(2 * 9 * 8, "dy", seed),
    })),
    "causal attention backward": of((seed) => ({
      ...attentionWork(true, seed),
      dy: values(2 * 9 * 8, "dy", seed),
    })),
  };
}

const works: Readonly<Record<string, readonly (LinearWork | AttentionWork)[]>> = {
  "two layers": [1, 2].map((seed) => linearWork([8, 12, 4], seed)),
  "a layer with GELU": [1, 2].map((seed) => linearWork([8, 12], seed, "gelu")),
  attention: [1, 2].map((seed) => attentionWork(false, seed)),
  "causal attention": [1, 2].map((seed) => attentionWork(true, seed)),
};
/** Milliseconds for what other libraries take to start, on a machine that does other things too. */
const STARTING = 120_000;
const names = ["onnxruntime-web", "onnxruntime-node", "tfjs", "jax-js", "pytorch"] as const;

describe("peers", () => {
  let backend: Backend;
  let peers: readonly (Peer | AbsentPeer)[];
  beforeAll(async () => {
    backend = await startBackend(wasm({ threads: 1 }));
    peers = await startPeers(1);
  }, STARTING);
  afterAll(async () => {
    for (const peer of peers) if ("stop" in peer) await peer.stop();
    backend.dispose();
  });

  for (const name of names)
    it.for(Object.entries(works))(
      `${name} computes %s, on each data set its own`,
      async ([, sets], { skip }) => {
        const peer = peers.find((candidate) => candidate.name === name)!;
        if ("reason" in peer) return skip(`${name}: ${peer.reason}`);
        const before = tf.memory().numTensors;
        const prepared = await peer.prepare(sets);
        for (const set of sets.keys()) {
          await prepared.run(set);
          expect(differenceOf(expectedOf(sets[set]!), await prepared.values(set))).toBeLessThan(1e-5);
        }
        await prepared.dispose();
        expect(tf.memory().numTensors).toBe(before);
      },
    );

  it.for(Object.entries(works))("ours computes %s", async ([, sets]) => {
    const before = tf.memory().numTensors;
    const ours = await prepareHeddle(sets);
    for (const set of sets.keys())
      expect(differenceOf(expectedOf(sets[set]!), await ours.values(set))).toBeLessThan(1e-5);
    await ours.dispose();
    expect(tf.memory().numTensors).toBe(before);
  });

  describe("against ours", () => {
    let folder: string;
    let ofModels: Readonly<Record<string, readonly Work[]>>;
    beforeAll(async () => {
      folder = mkdtempSync(join(tmpdir(), "heddle-peers-"));
      ofModels = await modelWorks(folder);
    }, STARTING);
    afterAll(() => rmSync(folder, { recursive: true }));

    const encoders = ["bert", "bert with padding", "longformer, dense"];
    const backward = ["attention backward", "causal attention backward"];
    const computed: Readonly<Record<(typeof names)[number], readonly string[]>> = {
      "onnxruntime-web": [...encoders, "a token of gpt"],
      "onnxruntime-node": [...encoders, "a token of gpt"],
      tfjs: backward,
      "jax-js": [],
      pytorch: [...encoders, ...backward, "a token of gpt", "training of gpt"],
    };

    for (const [name, kinds] of Object.entries(computed)) {
      it.for(kinds)(`${name} computes %s`, async (kind, { skip }) => {
        const peer = peers.find((candidate) => candidate.name === name)!;
        if ("reason" in peer) return skip(`${name}: ${peer.reason}`);
        const sets = ofModels[kind]!;
        const before = tf.memory().numTensors;
        const ours = await prepareHeddle(sets);
        const theirs = await peer.prepare(sets);
        for (const set of kind === "training of gpt" ? [0] : sets.keys()) {
          const expected = await ours.values(set);
          expect(differenceOf(expected, await theirs.values(set))).toBeLessThan(1e-5);
          await theirs.run(set);
        }
        await theirs.dispose();
        await ours.dispose();
        expect(tf.memory().numTensors).toBe(before);
      });
      it(`${name} says what it cannot compute`, async ({ skip }) => {
        const peer = peers.find((candidate) => candidate.name === name)!;
        if ("reason" in peer) return skip(`${name}: ${peer.reason}`);
        for (const kind of Object.keys(ofModels).filter((one) => !kinds.includes(one)))
          await expect(peer.prepare(ofModels[kind]!)).rejects.toThrow(/must have .* got no form of it here/);
      });
    }

    it.for(backward)("tfjs computes %s batched too", async (kind) => {
      const sets = ofModels[kind]!;
      const ours = await prepareHeddle(sets);
      const tfjs = await startTfjs();
      const theirs = await tfjs.prepare(sets, "batched");
      expect(theirs.form).toBe("batched");
      expect(differenceOf(await ours.values(1), await theirs.values(1))).toBeLessThan(1e-5);
      await theirs.dispose();
      await ours.dispose();
    });

    it.for(["onnxruntime-web", "onnxruntime-node"])(
      "%s computes models in every form of their graphs",
      async (name, { skip }) => {
        const peer = peers.find((candidate) => candidate.name === name)!;
        if ("reason" in peer) return skip(`${name}: ${peer.reason}`);
        for (const kind of [...encoders, "a token of gpt"]) {
          const sets = ofModels[kind]!;
          const ours = await prepareHeddle(sets);
          const expected = await ours.values(1);
          await ours.dispose();
          for (const form of ["composed", "fused"]) {
            const prepared = await peer.prepare(sets, form);
            expect(differenceOf(expected, await prepared.values(1)), `${kind}, ${form}`).toBeLessThan(1e-5);
            await prepared.dispose();
          }
        }
      },
    );
  });
});
