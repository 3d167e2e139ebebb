/** A plugin as its author writes it: one pattern, one position, one mechanism and one kernel. */
import * as tf from "@tensorflow/tfjs-core";
import {
  attention,
  attentionOperation,
  mergeHeads,
  modifier,
  pattern,
  patternMask,
  score,
  variables,
  fromInteger,
} from "@heddle/attention";
import type { AttentionMechanism, AttentionPattern } from "@heddle/attention";
import { checkNumber, definePlugin, kernel, residual } from "@heddle/core";
import type { Plugin } from "@heddle/core";
import type { Position } from "@heddle/positions";

/** Every third key before and after the query. */
export function everyThird(): AttentionPattern {
  return pattern("every-third", {}, ({ query, key }) => query.minus(key).modulo(3).equals(0));
}

export interface FadingOptions {
  /** What each step of distance takes off the score. */
  readonly rate: number;
}

/** A penalty on distance, the same for all heads. */
export function fading({ rate }: FadingOptions): Position {
  checkNumber("fading: rate", rate, { min: 0 });
  const { query, key } = variables;
  const distance = key.minus(query).minimum(query.minus(key));
  const expression = score.plus(fromInteger(distance).times(rate));
  return {
    kind: "position",
    name: "fading",
    options: { rate },
    build: () => ({ onScore: () => [modifier("fading", { rate }, expression)] }),
  };
}

/** Dense attention plus a linear path of its own around it. */
export function shortcut(): AttentionMechanism {
  return {
    kind: "mechanism",
    name: "shortcut",
    options: {},
    capabilities: { causal: true, cache: false, maps: false },
    build(weights, { width, heads, headWidth, allowed }) {
      const around = weights.linear("shortcut", { in: width, out: heads * headWidth });
      return ({ x, padded, positions: _, turn: __, ...call }) =>
        residual(
          mergeHeads(attention({ ...call, pattern: padded ? allowed.padded : allowed.plain })),
          around(x),
        );
    },
  };
}

/** Attention for short sequences in inference, composed in another way than the reference. */
export const shortKernel = kernel(attentionOperation, {
  name: "attention.f32.acme.short",
  backend: "any",
  unsupported: ({ q, k, modifiers = [], dropout }) => [
    ...(q.shape[2]! > 64 ? ["takes at most 64 queries"] : []),
    ...(q.shape[1] !== k.shape[1] ? ["does not group queries"] : []),
    ...(modifiers.length > 0 ? ["does not modify scores"] : []),
    ...(dropout ? ["does not drop out"] : []),
  ],
  forward({
    q,
    k,
    v,
    pattern: allowed,
    scale = 1 / Math.sqrt(q.shape[3]!),
    queryOffset,
    keyLength,
    attributes,
  }) {
    const [batch, heads, rows] = q.shape as [number, number, number];
    const keys = keyLength ?? k.shape[2]!;
    const cut = (x: tf.Tensor): tf.Tensor => tf.slice(x, [0, 0, 0, 0], [batch, heads, keys, x.shape[3]!]);
    const mask = patternMask(allowed, {
      heads,
      queryRows: rows,
      keyLength: keys,
      ...(queryOffset !== undefined && { queryOffset }),
      ...(attributes && { attributes }),
    });
    const bits = tf.tensor(Float32Array.from(mask.bits), [mask.batch, mask.heads, rows, keys]);
    const scores = tf.mul(tf.matMul(q, cut(k), false, true), scale);
    const seen = tf.where(
      tf.greater(tf.add(bits, tf.zerosLike(scores)), 0),
      scores,
      tf.fill(scores.shape, -1e30),
    );
    return { output: tf.matMul(tf.mul(tf.softmax(seen), bits), cut(v)) };
  },
});

const acme: Plugin = definePlugin({
  name: "acme",
  patterns: { "every-third": everyThird },
  mechanisms: { shortcut },
  positions: { fading },
  kernels: [shortKernel],
});
export default acme;
