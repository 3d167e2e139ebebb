/** Attention's kernels, in each form that they have. */
import * as tf from "@tensorflow/tfjs-core";
import type { Tensor } from "@tensorflow/tfjs-core";
import { attentionMapsOperation, attentionOperation, causal, full, slidingWindow } from "@heddle/attention";
import { integers } from "../data.ts";
import type { BenchCase } from "../suite.ts";
import { casesOf, HEAD } from "./kernel-case.ts";
import type { Draw, KernelSizes } from "./kernel-case.ts";

/** Inputs of attention. */
export type Qkv = Record<"q" | "k" | "v", Tensor>;

/** softmax(q k^T / 8) v of one batch row: of all pairs, or of those with no key behind its query. */
export function composedAttention({ q, k, v }: Qkv, { isCausal }: { isCausal: boolean }): Tensor {
  const scores = tf.mul(tf.matMul(q, k, false, true), 1 / Math.sqrt(HEAD));
  if (!isCausal) return tf.matMul(tf.softmax(scores), v);
  const positions = tf.range(0, q.shape[2]!, 1, "int32");
  const allowed = tf.lessEqual(tf.expandDims(positions, 0), tf.expandDims(positions, 1));
  return tf.matMul(tf.softmax(tf.where(allowed, scores, tf.scalar(-1e30))), v);
}

/** The cases in such sizes, on the backend that is active. */
export function* attentionCases({ rows, heads }: KernelSizes): Generator<BenchCase> {
  const qkv = (draw: Draw, queries = rows): Qkv => ({
    q: draw("q", 1, heads, queries, HEAD),
    k: draw("k", 1, heads, rows, HEAD),
    v: draw("v", 1, heads, rows, HEAD),
  });
  const of = `${heads} heads of ${HEAD}`;
  yield* casesOf(
    `attention, ${of}, causal, T ${rows}`,
    attentionOperation,
    (draw) => ({ ...qkv(draw), pattern: causal() }),
    (call) => composedAttention(call, { isCausal: true }),
  );
  yield* casesOf(
    `attention, ${of}, full, T ${rows}`,
    attentionOperation,
    (draw) => ({ ...qkv(draw), pattern: full() }),
    (call) => composedAttention(call, { isCausal: false }),
  );
  const [before, after] = [rows / 8, rows / 8];
  yield* casesOf(`attention, ${of}, window ${before} each side, T ${rows}`, attentionOperation, (draw) => ({
    ...qkv(draw),
    pattern: slidingWindow({ before, after }),
  }));
  yield* casesOf(
    `attention, ${of}, one query of ${rows} keys`,
    attentionOperation,
    (draw) => ({ ...qkv(draw, 1), pattern: causal(), queryOffset: rows - 1 }),
    (call) => composedAttention(call, { isCausal: false }),
  );
  for (const [chosen, selection] of Object.entries({
    all: {},
    "8 rows of 2": { heads: [0, heads - 1], rows: [...integers(8, rows)] },
  }))
    yield* casesOf(
      `attentionMaps, ${chosen} of ${of}, causal, T ${rows}`,
      attentionMapsOperation,
      (draw) => ({ ...qkv(draw), pattern: causal(), ...selection }),
    );
}
