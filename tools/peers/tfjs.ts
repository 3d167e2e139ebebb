/**
 * tfjs-backend-wasm, on the backend that is active: composed of 2-D products without transposed operands, its fast form.
 */
import { wasm } from "@heddle/backend-wasm";
import { activeBackend } from "@heddle/core";
import type { BackendStarter } from "@heddle/core";
import * as tf from "@tensorflow/tfjs-core";
import type { Tensor } from "@tensorflow/tfjs-core";
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

/** The last two axes exchanged, in a step of its own: products with a transposed operand are many times slower. */
const turned = (x: Tensor): Tensor => tf.transpose(x, x.rank === 3 ? [0, 2, 1] : [1, 0]);

/** The pass of a head, or of several: y, and with dy the gradients of q, k and v. */
function attend([q, k, v, dy]: readonly Tensor[], scale: number, mask?: Tensor): Tensor[] {
  const scores = tf.mul(tf.matMul(q!, turned(k!)), scale);
  const p = tf.softmax(mask ? tf.add(scores, mask) : scores);
  const y = tf.matMul(p, v!);
  if (!dy) return [y];
  const dp = tf.matMul(dy, turned(v!));
  // The sum of dp p over the keys is that of dy y over the width.
  const ds = tf.mul(tf.mul(p, tf.sub(dp, tf.sum(tf.mul(dy, y), -1, true))), scale);
  return [y, tf.matMul(ds, k!), tf.matMul(turned(ds), q!), tf.matMul(turned(p), dy)];
}

/** Head by head, since products of three dimensions are many times slower, or as who knows nothing of that writes it. */
const attentionForms = ["head by head", "batched"] as const;

function placeAttention(work: AttentionWork, form: (typeof attentionForms)[number]): Placed {
  const { heads, length, width, isCausal, q, k, v, dy } = work;
  const size = length * width;
  const inputs = [q, k, v, ...(dy ? [dy] : [])];
  const groups =
    form === "batched"
      ? [inputs.map((x): Tensor => tf.tensor3d(x, [heads, length, width]))]
      : Array.from({ length: heads }, (_, head) =>
          inputs.map((x): Tensor => tf.tensor2d(x.subarray(head * size, (head + 1) * size), [length, width])),
        );
  const mask = isCausal
    ? tf.tidy(() => tf.mul(tf.sub(1, tf.linalg.bandPart(tf.ones([length, length]), -1, 0)), -1e9))
    : undefined;
  return {
    tensors: [...groups.flat(), ...(mask ? [mask] : [])],
    compute() {
      const done = groups.map((group) => tf.tidy(() => attend(group, 1 / Math.sqrt(width), mask)));
      return tf.concat(
        done[0]!.map((_, part) =>
          tf.reshape(tf.concat(done.map((group) => group[part]!)), [heads * length, width]),
        ),
      );
    },
  };
}

function place(work: Work, form?: string): Placed {
  if (work.kind === "linear") return placeLinear(work);
  if (work.kind === "attention" && !work.pattern)
    return placeAttention(work, attentionForms.find((one) => one === form) ?? attentionForms[0]);
  return cannot("tfjs", work);
}

async function prepare(sets: readonly Work[], form?: string): Promise<Prepared> {
  // Training is that of our own packages over tfjs's operations, which transpose in steps of their own.
  if (sets[0]!.kind === "training" && activeBackend()?.kernels.length === 0) return prepareHeddle(sets);
  const placed = sets.map((work) => place(work, form));
  const values = async (set: number): Promise<Float32Array> => {
    const result = tf.tidy(placed[set]!.compute);
    const read = (await result.data()) as Float32Array;
    result.dispose();
    return read;
  };
  return {
    ...(form !== undefined && { form }),
    run: async (set) => void (await values(set)),
    values,
    dispose: async () => tf.dispose(placed.flatMap(({ tensors }) => tensors)),
  };
}

/** Needs nothing but a backend that is started. */
export async function startTfjs(): Promise<Peer> {
  return { name: "tfjs", prepare, stop: async () => {} };
}
