import * as tf from "@tensorflow/tfjs-core";
import type { Tensor } from "@tensorflow/tfjs-core";
import { checkInteger, checkNumber, reject } from "../errors.ts";
import { defineOperation, run } from "../operation.ts";
import type { Operation } from "../operation.ts";
import { checkFloatsOf } from "./tensors.ts";

/** Draws from softmax(logits / temperature). */
export interface TokenDraw {
  /** Above 0. */
  readonly temperature: number;
  /** Only the greatest so many logits, and those that tie with the last of them. @default all */
  readonly topK?: number;
  /** For each row, the place in [0, 1) of the cumulative distribution, in the order of the ids. */
  readonly places: readonly number[];
}

/** A call of `chooseToken`. Shapes: B rows, V vocabulary. */
export interface ChooseTokenCall {
  /** [B, V] */
  readonly logits: Tensor;
  /** Only ids below this are chosen. @default V */
  readonly idsBelow?: number;
  /** @default none: the greatest logit, the first of those that tie */
  readonly draw?: TokenDraw;
}

/** The numbers below `count`. */
const idsOf = (count: number): Tensor => tf.range(0, count, 1, "int32");

/** Entries of each row as 0 or 1: which of them count among the `topK` greatest. */
function among(logits: Tensor, topK: number): Tensor {
  const least = tf.min(tf.topk(logits, topK).values, 1, true);
  return tf.cast(tf.greaterEqual(logits, least), "float32");
}

function drawn(logits: Tensor, greatest: Tensor, { temperature, topK, places }: TokenDraw): Tensor {
  const [batch, count] = logits.shape as [number, number];
  const all = tf.exp(tf.div(tf.sub(logits, greatest), temperature));
  const chances = topK === undefined || topK >= count ? all : tf.mul(all, among(logits, topK));
  const sums = tf.cumsum(chances, 1);
  const total = tf.slice(sums, [0, count - 1], [batch, 1]);
  const target = tf.mul(tf.tensor2d([...places], [batch, 1]), total);
  const before = tf.sum(tf.cast(tf.lessEqual(sums, target), "int32"), 1);
  // Where rounding makes a place near 1 the whole, the last that can be chosen.
  const last = tf.max(tf.where(tf.greater(chances, 0), idsOf(count), tf.scalar(0, "int32")), 1);
  return tf.minimum(before, last);
}

function first(logits: Tensor, greatest: Tensor): Tensor {
  const count = logits.shape[1]!;
  return tf.min(tf.where(tf.equal(logits, greatest), idsOf(count), tf.scalar(count, "int32")), 1);
}

/** The operation behind `chooseToken`. */
export const chooseTokenOperation: Operation<ChooseTokenCall> = defineOperation<ChooseTokenCall>({
  name: "chooseToken",
  tensors: ["logits"],
  validate({ logits, idsBelow, draw }) {
    checkFloatsOf("chooseToken: logits", logits, [null, null]);
    const [batch, vocabulary] = logits.shape as [number, number];
    if (vocabulary === 0) reject("chooseToken: logits", "have at least one id", logits.shape);
    if (idsBelow !== undefined) checkInteger("chooseToken: idsBelow", idsBelow, { min: 1, max: vocabulary });
    if (!draw) return;
    const { temperature, topK, places } = draw;
    checkNumber("chooseToken: temperature", temperature);
    if (!(temperature > 0)) reject("chooseToken: temperature", "be above 0", temperature);
    if (topK !== undefined) checkInteger("chooseToken: topK", topK, { min: 1 });
    if (!Array.isArray(places) || places.length !== batch)
      reject("chooseToken: places", `hold ${batch} numbers, one a row`, places);
    for (const place of places)
      if (!(place >= 0 && place < 1)) reject("chooseToken: places", "be at least 0 and below 1", place);
  },
  forward({ logits, idsBelow = logits.shape[1]!, draw }) {
    const batch = logits.shape[0]!;
    const allowed = tf.slice(logits, [0, 0], [batch, idsBelow]);
    const greatest = tf.max(allowed, 1, true);
    const ids = draw ? drawn(allowed, greatest, draw) : first(allowed, greatest);
    // An infinity or NaN less itself is NaN.
    const finite = tf.all(tf.equal(tf.sub(logits, logits), 0), 1);
    return { output: tf.where(finite, tf.cast(ids, "int32"), tf.scalar(-1, "int32")) };
  },
});

/**
 * An id of each row, [B], int32, chosen where the logits are: a device need not give them away. -1 where a row's logits
 * are not all finite. As `greedyToken`, `keepTopK` and `sampleToken` of @heddle/generation do one after the other.
 */
export function chooseToken({ draw, ...call }: ChooseTokenCall): Tensor {
  // What is less would be 0 on devices, which is no divisor; the greatest is chosen all the same.
  const own = draw && {
    ...draw,
    temperature: draw.temperature > 0 ? Math.max(draw.temperature, 1e-30) : draw.temperature,
  };
  return run(chooseTokenOperation, { ...call, ...(own && { draw: own }) });
}
