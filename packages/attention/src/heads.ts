/** Between a layer's width and its heads. Shapes: B batch, L length, H heads, D head width. */
import * as tf from "@tensorflow/tfjs-core";
import type { Tensor } from "@tensorflow/tfjs-core";
import { checkFloats, checkInteger, defineOperation, reject, run } from "@heddle/core";
import type { Operation } from "@heddle/core";

/** A call of `splitHeads`. */
export interface SplitHeadsCall {
  /** [B, L, W]: the heads, side by side, and in fused projections others before and behind them. */
  readonly x: Tensor;
  /** H */
  readonly heads: number;
  /** D. @default W / H */
  readonly headWidth?: number;
  /** Where in W the first head begins. @default 0 */
  readonly begin?: number;
}

/** Checks the rank of what heads are made of. */
function checkRank(where: string, x: Tensor, rank: number): void {
  checkFloats(where, x);
  if (x.shape.length !== rank) reject(where, `have ${rank} dimensions`, x.shape);
}

/** [B, L, H D] to [B, H, L, D], and back. */
const swapped = (x: Tensor): Tensor => tf.transpose(x, [0, 2, 1, 3]);

/** The operation behind `splitHeads`. */
export const splitHeadsOperation: Operation<SplitHeadsCall> = defineOperation<SplitHeadsCall>({
  name: "splitHeads",
  tensors: ["x"],
  needs: [],
  validate({ x, heads, headWidth, begin = 0 }) {
    checkRank("splitHeads: x", x, 3);
    const width = x.shape[2]!;
    checkInteger("splitHeads: heads", heads, { min: 1 });
    if (headWidth === undefined && width % heads !== 0)
      reject("splitHeads: width", `be a multiple of ${heads} heads`, width);
    const each = headWidth ?? width / heads;
    checkInteger("splitHeads: headWidth", each, { min: 1 });
    checkInteger("splitHeads: begin", begin, { min: 0 });
    if (begin + heads * each > width)
      reject("splitHeads: width", `hold ${heads} heads of ${each} from ${begin} on`, width);
  },
  forward({ x, heads, begin = 0, headWidth = x.shape[2]! / heads }) {
    const [batch, length] = x.shape as [number, number];
    const part = tf.slice(x, [0, 0, begin], [batch, length, heads * headWidth]);
    return { output: swapped(tf.reshape(part, [batch, length, heads, headWidth])) };
  },
  gradient: ({ call: { x, begin = 0 }, dy }) => ({
    x: () => {
      const [batch, heads, length, headWidth] = dy.shape as [number, number, number, number];
      const part = tf.reshape(swapped(dy), [batch, length, heads * headWidth]);
      const behind = x.shape[2]! - begin - heads * headWidth;
      return tf.pad(part, [
        [0, 0],
        [0, 0],
        [begin, behind],
      ]);
    },
  }),
});

/** Heads side by side in the last dimension, or in a part of it, to [B, H, L, D]. */
export function splitHeads(call: SplitHeadsCall): Tensor {
  return run(splitHeadsOperation, call);
}

/** A call of `mergeHeads`. */
export interface MergeHeadsCall {
  /** [B, H, L, D] */
  readonly x: Tensor;
}

/** The operation behind `mergeHeads`. */
export const mergeHeadsOperation: Operation<MergeHeadsCall> = defineOperation<MergeHeadsCall>({
  name: "mergeHeads",
  tensors: ["x"],
  needs: [],
  validate: ({ x }) => checkRank("mergeHeads: x", x, 4),
  forward({ x }) {
    const [batch, heads, length, headWidth] = x.shape as [number, number, number, number];
    return { output: tf.reshape(swapped(x), [batch, length, heads * headWidth]) };
  },
  gradient: ({ call: { x }, dy }) => ({
    x: () => {
      const [batch, heads, length, headWidth] = x.shape as [number, number, number, number];
      return swapped(tf.reshape(dy, [batch, length, heads, headWidth]));
    },
  }),
});

/** Heads [B, H, L, D] side by side: [B, L, H D]. */
export function mergeHeads(x: Tensor): Tensor {
  return run(mergeHeadsOperation, { x });
}
