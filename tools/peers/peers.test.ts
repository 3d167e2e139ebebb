import * as tf from "@tensorflow/tfjs-core";
import { wasm } from "@heddle/backend-wasm";
import { randomStream, startBackend } from "@heddle/core";
import type { Backend } from "@heddle/core";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { differenceOf } from "./agreement.ts";
import type { AbsentPeer, AttentionWork, LayerWork, LinearWork, Peer, Work } from "./peer.ts";
import { startPeers } from "./start.ts";

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

function expectedOf(work: Work): Float32Array {
  if (work.kind === "attention") return attentionOf(work);
  return Float32Array.from(
    work.layers.reduce<Float64Array>((x, layer) => {
      const y = layerOf(x, layer);
      return work.activation ? y.map((value) => (value * (1 + erf(value * Math.SQRT1_2))) / 2) : y;
    }, Float64Array.from(work.x)),
  );
}

const works: Readonly<Record<string, readonly Work[]>> = {
  "two layers": [1, 2].map((seed) => linearWork([8, 12, 4], seed)),
  "a layer with GELU": [1, 2].map((seed) => linearWork([8, 12], seed, "gelu")),
  attention: [1, 2].map((seed) => attentionWork(false, seed)),
  "causal attention": [1, 2].map((seed) => attentionWork(true, seed)),
};

describe("peers", () => {
  let backend: Backend;
  let peers: readonly (Peer | AbsentPeer)[];
  beforeAll(async () => {
    backend = await startBackend(wasm());
    peers = await startPeers(1);
  });
  afterAll(async () => {
    for (const peer of peers) if ("stop" in peer) await peer.stop();
    backend.dispose();
  });

  for (const name of ["onnxruntime-web", "onnxruntime-node", "tfjs", "jax-js", "pytorch"])
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
});
