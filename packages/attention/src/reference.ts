/** The attention operation as a composition of tfjs operations: what every kernel is compared with. */
import * as tf from "@tensorflow/tfjs-core";
import type { Tensor } from "@tensorflow/tfjs-core";
import { dropoutMask } from "@heddle/core";
import type { GradientContext, KernelResult, LazyGradients } from "@heddle/core";
import { lookupDerivatives, scoreDerivative } from "./expression/derivative.ts";
import type { MaskShape, PatternMask } from "./expression/mask.ts";
import type { NumberNode } from "./expression/tree.ts";
import { evaluateOnGrid, keptMask, lookupGradient } from "./grid.ts";
import type { ScoreGrid } from "./grid.ts";
import { maskShapeOf } from "./call.ts";
import type { AttentionCall } from "./call.ts";

/** Added to the score of a pair that is not allowed: so far below any score that its exponential is 0. */
const EXCLUDED = -1e30;

/** Modified scores stay within this: an infinite one of a pair that is not allowed would give NaN. */
const GREATEST = 1e29;
/** The same for the derivatives of modifiers, which meet zeros of pairs that are not allowed. */
const STEEPEST = 3e38;

type Shape4 = [number, number, number, number];

/** [B, H, L, D] as one matrix for each key head, its queries under one another: [B G, (H / G) L, D]. */
function grouped(x: Tensor, keyHeads: number): Tensor {
  const [batch, heads, length, width] = x.shape as Shape4;
  return tf.reshape(x, [batch * keyHeads, (heads / keyHeads) * length, width]);
}

/** Keys or values as matrices, cut to the keys that count: [B G, Lk, D]. */
function matrices(x: Tensor, { keyLength }: MaskShape): Tensor {
  const [batch, heads, length, width] = x.shape as Shape4;
  const used = length === keyLength ? x : tf.slice(x, [0, 0, 0, 0], [batch, heads, keyLength, width]);
  return tf.reshape(used, [batch * heads, keyLength, width]);
}

const turned = (x: Tensor): Tensor => tf.transpose(x, [0, 2, 1]);

/** Scores before any modifier, [B, H, Lq, Lk]. */
function rawScores({ q, k, scale = 1 / Math.sqrt(q.shape[3]!) }: AttentionCall, pairs: MaskShape): Tensor {
  const product = tf.matMul(grouped(tf.mul(q, scale), k.shape[1]!), matrices(k, pairs), false, true);
  const [batch, heads, queries] = q.shape as Shape4;
  return tf.reshape(product, [batch, heads, queries, pairs.keyLength]);
}

/** The scores before each modifier and after the last one. */
function modifiedScores(call: AttentionCall, pairs: MaskShape, raw: Tensor): Tensor[] {
  const stages = [raw];
  for (const { score, tables } of call.modifiers ?? []) {
    const grid = { scores: stages.at(-1)!, shape: pairs, tables: (tables ?? {}) as ScoreGrid["tables"] };
    // The value may not mention the score at all; the sum gives it the scores' shape.
    const modified = tf.add(evaluateOnGrid(score, grid), tf.zerosLike(raw));
    stages.push(allowedOnly(tf.clipByValue(modified, -GREATEST, GREATEST), call, pairs));
  }
  return stages;
}

/** x where a pair is allowed and 0 elsewhere: what a modifier gives there, NaN included, takes no part. */
function allowedOnly(x: Tensor, { pattern }: AttentionCall, pairs: MaskShape): Tensor {
  const { batch, heads, rows, keys, bits } = keptMask(pattern, pairs);
  if (!bits.includes(0)) return x;
  return tf.where(tf.tensor(bits, [batch, heads, rows, keys], "bool"), x, tf.zerosLike(x));
}

/** Whether every row of a mask allows a key. */
function everyRowSees({ bits, keys }: PatternMask): boolean {
  for (let row = 0; row < bits.length; row += keys) {
    const first = bits.indexOf(1, row);
    if (first < 0 || first >= row + keys) return false;
  }
  return true;
}

/** Probabilities before dropout; a row that allows nothing is all 0. [B, H, Lq, Lk] */
function probabilitiesOf(scores: Tensor, call: AttentionCall, pairs: MaskShape): Tensor {
  const mask = keptMask(call.pattern, pairs);
  const { batch, heads, rows, keys, bits } = mask;
  if (!bits.includes(0)) return tf.softmax(scores);
  const shape = [batch, heads, rows, keys];
  const masked = tf.add(
    scores,
    tf.tensor(
      Float32Array.from(bits, (bit) => (bit ? 0 : EXCLUDED)),
      shape,
    ),
  );
  if (everyRowSees(mask)) return tf.softmax(masked);
  // Where a row has no key the softmax spreads evenly over what it does not see.
  return tf.mul(tf.softmax(masked), tf.tensor(Float32Array.from(bits), shape));
}

/** Attention probabilities of a call, without dropout: [B, H, Lq, Lk]. */
export function probabilities(call: AttentionCall): Tensor {
  const pairs = maskShapeOf(call);
  return tf.tidy(() =>
    probabilitiesOf(modifiedScores(call, pairs, rawScores(call, pairs)).at(-1)!, call, pairs),
  );
}

function dropped(p: Tensor, { dropout }: AttentionCall): Tensor {
  if (!dropout || dropout.rate === 0) return p;
  return tf.mul(p, tf.tensor(dropoutMask(p.size, dropout.rate, dropout.address), p.shape));
}

/** The forward pass. */
export function referenceAttention(call: AttentionCall): KernelResult {
  const pairs = maskShapeOf(call);
  const raw = rawScores(call, pairs);
  const p = probabilitiesOf(modifiedScores(call, pairs, raw).at(-1)!, call, pairs);
  const [batch, heads, queries] = call.q.shape as Shape4;
  const out = tf.matMul(grouped(dropped(p, call), call.k.shape[1]!), matrices(call.v, pairs));
  return {
    output: tf.reshape(out, [batch, heads, queries, call.v.shape[3]!]),
    saved: (call.modifiers ?? []).length > 0 ? [p, raw] : [p],
  };
}

/** Puts zeros behind the gradient of the keys that count, up to the length that was given. */
function uncut(gradient: Tensor, whole: Tensor): Tensor {
  const [batch, heads, length, width] = whole.shape as Shape4;
  const used = gradient.shape[1]!;
  const shaped = tf.reshape(gradient, [batch, heads, used, width]);
  return used === length
    ? shaped
    : tf.pad(shaped, [
        [0, 0],
        [0, 0],
        [0, length - used],
        [0, 0],
      ]);
}

/** The backward pass. */
export function attentionGradient({ call, saved, dy }: GradientContext<AttentionCall>): LazyGradients {
  const { q, k, v, modifiers = [], scale = 1 / Math.sqrt(q.shape[3]!) } = call;
  const [p, raw] = saved as [Tensor, Tensor | undefined];
  const pairs = maskShapeOf(call);
  const keyHeads = k.shape[1]!;
  const groupedDy = grouped(dy, keyHeads);
  /** A gradient on its way through a modifier. */
  const through = (upstream: Tensor, derivative: NumberNode, grid: ScoreGrid): Tensor =>
    allowedOnly(
      tf.mul(upstream, tf.clipByValue(evaluateOnGrid(derivative, grid), -STEEPEST, STEEPEST)),
      call,
      pairs,
    );
  const tableGradients: Record<string, () => Tensor> = {};

  /** Gradient of the scores before any modifier; fills `tableGradients` on the way down. */
  const ds = tf.tidy(() => {
    const dp = dropped(tf.reshape(tf.matMul(groupedDy, matrices(v, pairs), false, true), p.shape), call);
    return tf.mul(p, tf.sub(dp, tf.sum(tf.mul(dp, p), -1, true)));
  });
  let flowing = ds;
  const stages = raw ? modifiedScores(call, pairs, raw) : [];
  for (let i = modifiers.length - 1; i >= 0; i--) {
    const { score, tables } = modifiers[i]!;
    const grid = { scores: stages[i]!, shape: pairs, tables: (tables ?? {}) as ScoreGrid["tables"] };
    const upstream = flowing;
    const derivatives = lookupDerivatives(score);
    for (const [name, table] of Object.entries(grid.tables))
      tableGradients[`modifiers[${i}].${name}`] = () =>
        derivatives
          .filter(({ lookup }) => lookup.table === name)
          .map(({ lookup, derivative }) =>
            lookupGradient(lookup.index, table, pairs, through(upstream, derivative, grid)),
          )
          .reduce((sum, part) => tf.add(sum, part), tf.zerosLike(table));
    flowing = through(upstream, scoreDerivative(score), grid);
  }
  const groupedDs = grouped(flowing, keyHeads);
  return {
    ...tableGradients,
    q: () => tf.reshape(tf.mul(tf.matMul(groupedDs, matrices(k, pairs)), scale), q.shape),
    k: () => uncut(tf.matMul(turned(groupedDs), grouped(tf.mul(q, scale), keyHeads)), k),
    v: () => uncut(tf.matMul(turned(grouped(dropped(p, call), keyHeads)), groupedDy), v),
  };
}
