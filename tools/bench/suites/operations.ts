/** Core's operations and attention, as models call them, against the same written in plain tfjs operations. */
import * as tf from "@tensorflow/tfjs-core";
import type { Tensor } from "@tensorflow/tfjs-core";
import { attention, causal } from "@heddle/attention";
import { createWeights, crossEntropy, embedding, layerNorm, linear, randomStream } from "@heddle/core";
import type { LinearLayer } from "@heddle/core";
import { setsBeyondCaches } from "../data.ts";
import type { BenchCase, BenchSuite } from "../suite.ts";
import { wasmSuite } from "../wasm-suite.ts";

type Make = (shape: readonly number[], name: string) => Tensor;
type Inputs = Readonly<Record<string, Tensor>>;

interface Definition<I extends Inputs> {
  readonly name: string;
  inputs(make: Make): I;
  ours(inputs: I): Tensor;
  tfjs(inputs: I): Tensor;
}

/** A case over as many data sets as it takes to leave the caches. */
function benchCase<I extends Inputs>({ name, inputs, ours, tfjs }: Definition<I>): BenchCase {
  const makeSet = (set: number): I =>
    inputs((shape, part) => {
      const size = shape.reduce((a, b) => a * b, 1);
      return tf.tensor(randomStream({ seed: set, path: `${name}/${part}` }).uniforms(size), [...shape]);
    });
  const first = makeSet(0);
  const bytes = Object.values(first).reduce((sum, { size }) => sum + 4 * size, 0);
  const sets = [first];
  for (let set = 1; set < setsBeyondCaches(bytes); set++) sets.push(makeSet(set));
  const timed = (f: (set: I) => Tensor) => async (set: number) => {
    const result = tf.tidy(() => f(sets[set]!));
    await result.data();
    result.dispose();
  };
  return {
    name,
    sets: sets.length,
    ours: timed(ours),
    peers: { tfjs: timed(tfjs) },
    dispose: () => tf.dispose(sets),
  };
}

const layers = new WeakMap<Tensor, LinearLayer>();

/** The layer that a model has over a weight, which keeps what it derives from it. */
function layerOver(weight: Tensor, bias: Tensor): LinearLayer {
  const known = layers.get(weight);
  if (known) return known;
  const weights = createWeights();
  const [out, into] = weight.shape as [number, number];
  const layer = weights.linear("layer", { in: into, out });
  weights.declared.get("layer.weight")!.assign(weight);
  weights.declared.get("layer.bias")!.assign(bias);
  layers.set(weight, layer);
  return layer;
}

function* cases(): Generator<BenchCase> {
  for (const [rows, into, out] of [
    [128, 768, 768],
    [512, 768, 3072],
    [1, 768, 768],
  ] as const)
    yield benchCase({
      name: `linear ${rows}x${into}x${out}, [out, in] as torch`,
      inputs: (make) => ({
        x: make([rows, into], "x"),
        weight: make([out, into], "w"),
        bias: make([out], "b"),
      }),
      ours: ({ x, weight, bias }) => layerOver(weight, bias)(x),
      tfjs: ({ x, weight, bias }) => tf.add(tf.matMul(x, weight, false, true), bias),
    });
  yield benchCase({
    name: "linear 1x768x50257, plain as a tied output layer",
    inputs: (make) => ({ x: make([1, 768], "x"), weight: make([50257, 768], "w") }),
    ours: ({ x, weight }) => linear({ x, weight }),
    tfjs: ({ x, weight }) => tf.matMul(x, weight, false, true),
  });
  yield benchCase({
    name: "linear 512x768x3072, [in, out], gelu",
    inputs: (make) => ({ x: make([512, 768], "x"), weight: make([768, 3072], "w"), bias: make([3072], "b") }),
    ours: ({ x, weight, bias }) => linear({ x, weight, bias, layout: "conv1d", activation: "gelu" }),
    tfjs: ({ x, weight, bias }) => {
      const y = tf.add(tf.matMul(x, weight), bias);
      return tf.mul(tf.mul(y, 0.5), tf.add(tf.erf(tf.mul(y, Math.SQRT1_2)), 1));
    },
  });
  yield benchCase({
    name: "layerNorm 512x768",
    inputs: (make) => ({ x: make([512, 768], "x"), weight: make([768], "w"), bias: make([768], "b") }),
    ours: ({ x, weight, bias }) => layerNorm({ x, weight, bias }),
    tfjs: ({ x, weight, bias }) => {
      const { mean, variance } = tf.moments(x, 1, true);
      return tf.add(tf.mul(tf.div(tf.sub(x, mean), tf.sqrt(tf.add(variance, 1e-5))), weight), bias);
    },
  });
  const ids = Int32Array.from({ length: 512 }, (_, i) =>
    randomStream({ seed: 1, path: "ids" }).integer(i, 8192),
  );
  yield benchCase({
    name: "embedding 512 of 8192x768",
    inputs: (make) => ({ table: make([8192, 768], "t") }),
    ours: ({ table }) => embedding(table, tf.tensor1d(ids, "int32")),
    tfjs: ({ table }) => tf.gather(table, tf.tensor1d(ids, "int32")),
  });
  yield benchCase({
    name: "crossEntropy 256x8192",
    inputs: (make) => ({ logits: make([256, 8192], "l") }),
    ours: ({ logits }) => crossEntropy({ logits, labels: ids.slice(0, 256) }),
    tfjs: ({ logits }) => {
      const target = tf.cast(tf.oneHot(tf.tensor1d(ids.slice(0, 256), "int32"), 8192), "float32");
      return tf.neg(tf.mean(tf.sum(tf.mul(target, tf.logSoftmax(logits)), 1)));
    },
  });
  const pattern = causal();
  for (const length of [128, 512])
    yield benchCase({
      name: `attention, 12 heads of 64, causal, T ${length}`,
      inputs: (make) => ({
        q: make([1, 12, length, 64], "q"),
        k: make([1, 12, length, 64], "k"),
        v: make([1, 12, length, 64], "v"),
      }),
      ours: ({ q, k, v }) => attention({ q, k, v, pattern }),
      tfjs: ({ q, k, v }) => {
        const scores = tf.mul(tf.matMul(q, k, false, true), 1 / 8);
        const later = tf.sub(1, tf.linalg.bandPart(tf.ones([length, length]), -1, 0));
        return tf.matMul(tf.softmax(tf.add(scores, tf.mul(later, -1e9))), v);
      },
    });
}

/** Starts WASM and gives the cases. */
export const operations = (): Promise<BenchSuite> => wasmSuite(cases);
