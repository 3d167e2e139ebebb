/** tfjs-backend-wasm, on the backend that is active: composed of 2-D products without transposes, its fast form. */
import * as tf from "@tensorflow/tfjs-core";
import type { Tensor, Tensor2D } from "@tensorflow/tfjs-core";
import { transpose } from "./layout.ts";
import type { AttentionWork, LinearWork, Peer, Prepared, Work } from "./peer.ts";

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

/** Head by head: its products of three dimensions, and those of a transposed operand, are many times slower. */
function placeAttention({ heads, length, width, isCausal, q, k, v }: AttentionWork): Placed {
  const perHead = (x: Float32Array<ArrayBuffer>): Tensor2D[] =>
    Array.from({ length: heads }, (_, head) =>
      tf.tensor2d(x.subarray(head * length * width, (head + 1) * length * width), [length, width]),
    );
  const [queries, keys, values] = [perHead(q), perHead(k), perHead(v)];
  const mask = isCausal
    ? tf.tidy(() => tf.mul(tf.sub(1, tf.linalg.bandPart(tf.ones([length, length]), -1, 0)), -1e9))
    : undefined;
  return {
    tensors: [...queries, ...keys, ...values, ...(mask ? [mask] : [])],
    compute: () =>
      tf.stack(
        queries.map((query, head) =>
          tf.tidy(() => {
            const scores = tf.mul(tf.matMul(query, tf.transpose(keys[head]!)), 1 / Math.sqrt(width));
            return tf.matMul(tf.softmax(mask ? tf.add<Tensor2D>(scores, mask) : scores), values[head]!);
          }),
        ),
      ),
  };
}

const place = (work: Work): Placed => (work.kind === "linear" ? placeLinear(work) : placeAttention(work));

async function prepare(sets: readonly Work[]): Promise<Prepared> {
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
