import type { Tensor } from "@tensorflow/tfjs-core";
import { and, attention as attend, full, mergeHeads, padding, splitHeads } from "@heddle/attention";
import type { AttentionPattern } from "@heddle/attention";
import { checkFields, checkInteger, checkNumber, reject } from "@heddle/core";
import type { Weights } from "@heddle/core";
import { dropoutOf } from "./context.ts";
import type { LayerContext } from "./context.ts";

export interface CrossAttentionSpec {
  /** Width of the queries' sequence and of the result. */
  readonly width: number;
  /** Width of the sequence attended to. @default width */
  readonly memoryWidth?: number;
  readonly heads: number;
  /** @default full() */
  readonly attention?: AttentionPattern;
  /** Share of the probabilities dropped in training. @default 0 */
  readonly dropout?: number;
  readonly names?: { readonly query: string; readonly key: string; readonly value: string };
}

const specFields = [
  "width",
  "memoryWidth",
  "heads",
  "attention",
  "dropout",
  "names",
] as const satisfies readonly (keyof CrossAttentionSpec)[];

/** The sequence attended to. */
export interface Memory {
  /** [B, M, memoryWidth] */
  readonly values: Tensor;
  /** 1 for tokens and 0 for padding, [B M]. @default all tokens */
  readonly keep?: Int32Array;
}

/**
 * Attention from one sequence to another, up to its output projection: [B, L, width].
 * https://arxiv.org/abs/1706.03762 §3.2.3.
 *
 * @throws HeddleError for a width that the heads do not divide, and for attention that is no pattern.
 */
export function crossAttention(
  weights: Weights,
  spec: CrossAttentionSpec,
): (x: Tensor, memory: Memory, context: LayerContext) => Tensor {
  checkFields(`${weights.path}: attention: options`, spec, specFields);
  const { width, memoryWidth = width, heads, attention = full(), dropout: rate = 0, names } = spec;
  const { query = "query", key = "key", value = "value" } = names ?? {};
  if (attention?.kind !== "pattern")
    reject(
      `${weights.path}: attention`,
      "be a pattern, since a mechanism attends within one sequence",
      attention,
    );
  checkInteger(`${weights.path}: attention: heads`, heads, { min: 1 });
  if (width % heads !== 0)
    reject(`${weights.path}: attention: width`, `be a multiple of the ${heads} heads`, width);
  checkNumber(`${weights.path}: attention: dropout`, rate, { min: 0, max: 1 - 2 ** -24 });
  const toQuery = weights.linear(query, { in: width, out: width });
  const toKeyAndValue = weights.linears([key, value], { in: memoryWidth, out: [width, width] });
  const padded = and(padding(), attention);
  const ofHeads = { heads, headWidth: width / heads };
  return (x, { values, keep }, context) => {
    const [k, v] = toKeyAndValue(values).map((part) => splitHeads({ ...part, ...ofHeads }));
    return mergeHeads(
      attend({
        q: splitHeads({ x: toQuery(x), heads }),
        k: k!,
        v: v!,
        pattern: keep ? padded : attention,
        ...(keep && { attributes: { batch: x.shape[0]!, key: { keep } } }),
        ...dropoutOf(rate, `${weights.path}.dropout`, context),
      }),
    );
  };
}
