/**
 * tfjs-backend-wasm, on the backend that is active: composed of 2-D products without transposed operands, its fast form.
 */
import { wasm } from "@heddle/backend-wasm";
import { activeBackend } from "@heddle/core";
import type { BackendStarter } from "@heddle/core";
import * as tf from "@tensorflow/tfjs-core";
import type { Tensor, Tensor2D } from "@tensorflow/tfjs-core";
import { prepareHeddle } from "./heddle.ts";
import { transpose } from "./layout.ts";
import { cannot } from "./peer.ts";
import type { AttentionWork, LinearWork, Peer, Prepared, Work } from "./peer.ts";

/** The WASM backend without any kernel of ours: operations run as their references, which are composed of tfjs's. */
export const plainWasm: BackendStarter = {
  name: "wasm",
  async start() {
    const { engine, description, stop } = await wasm({ threads: 1 }).start();
    return { engine, description, kernels: [], ...(stop && { stop }) };
  },
};

/** One data set in tfjs's memory. */
interface Placed {
  readonly tensors: readonly Tensor[];
  compute(): Tensor;
}

function gelu(x: Tensor): Tensor {
  return tf.mul(tf.mul(x, 0.5), tf.add(tf.erf(tf.mul(x, Math.SQRT1_2)), 1));
}

function placeLinear({ rows, x, layers, activation }: LinearWork): Placed {
  const input = tf.tensor2d(x, [rows, layers[0]!.into]);
  // Weights turned over beforehand, as who knows tfjs keeps them.
  const weights = layers.map(({ weight, bias, into, out }) => ({
    w: tf.tensor2d(transpose(weight, out, into), [into, out]),
    b: tf.tensor1d(bias),
  }));
  return {
    tensors: [input, ...weights.flatMap(({ w, b }) => [w, b])],
    compute: () =>
      weights.reduce<Tensor>((y, { w, b }) => {
        const sum = tf.fused.matMul({ a: y, b: w, bias: b });
        return activation ? gelu(sum) : sum;
      }, input),
  };
}

/**
 * The pass of one head: y, and with dy the gradients of q, k and v. Products of three dimensions, and those of a
 * transposed operand, would be many times slower.
 */
function attendHead([q, k, v, dy]: readonly Tensor2D[], scale: number, mask?: Tensor2D): Tensor2D[] {
  const scores = tf.mul<Tensor2D>(tf.matMul(q!, tf.transpose(k!)), scale);
  const p = tf.softmax(mask ? tf.add<Tensor2D>(scores, mask) : scores);
  const y = tf.matMul(p, v!) as Tensor2D;
  if (!dy) return [y];
  const dp = tf.matMul(dy, tf.transpose(v!));
  // The sum of dp p over the keys is that of dy y over the width.
  const ds = tf.mul<Tensor2D>(tf.mul(p, tf.sub(dp, tf.sum(tf.mul(dy, y), 1, true))), scale);
  return [
    y,
    tf.matMul(ds, k!),
    tf.matMul(tf.transpose(ds), q!),
    tf.matMul(tf.transpose(p), dy),
  ] as Tensor2D[];
}

/** Head by head. */
function placeAttention({ heads, length, width, isCausal, q, k, v, dy }: AttentionWork): Placed {
  const size = length * width;
  const inputs = [q, k, v, ...(dy ? [dy] : [])];
  const perHead = Array.from({ length: heads }, (_, head) =>
    inputs.map((x) => tf.tensor2d(x.subarray(head * size, (head + 1) * size), [length, width])),
  );
  const mask = isCausal
    ? tf.tidy(() => tf.mul<Tensor2D>(tf.sub(1, tf.linalg.bandPart(tf.ones([length, length]), -1, 0)), -1e9))
    : undefined;
  return {
    tensors: [...perHead.flat(), ...(mask ? [mask] : [])],
    compute() {
      const done = perHead.map((head) => tf.tidy(() => attendHead(head, 1 / Math.sqrt(width), mask)));
      return tf.concat(done[0]!.map((_, part) => tf.stack(done.map((head) => head[part]!))));
    },
  };
}

function place(work: Work): Placed {
  if (work.kind === "linear") return placeLinear(work);
  if (work.kind === "attention" && !work.pattern) return placeAttention(work);
  return cannot("tfjs", work);
}

async function prepare(sets: readonly Work[]): Promise<Prepared> {
  // Training is that of our own packages over tfjs's operations, which transpose in steps of their own.
  if (sets[0]!.kind === "training" && activeBackend()?.kernels.length === 0) return prepareHeddle(sets);
  const placed = sets.map(place);
  const values = async (set: number): Promise<Float32Array> => {
    const result = tf.tidy(placed[set]!.compute);
    const read = (await result.data()) as Float32Array;
    result.dispose();
    return read;
  };
  return {
    run: async (set) => void (await values(set)),
    values,
    dispose: async () => tf.dispose(placed.flatMap(({ tensors }) => tensors)),
  };
}

/** Needs nothing but a backend that is started. */
export async function startTfjs(): Promise<Peer> {
  return { name: "tfjs", prepare, stop: async () => {} };
}
