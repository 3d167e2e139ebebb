import type { Tensor } from "@tensorflow/tfjs-core";
import type { RandomAddress } from "@heddle/core";
import type { MaskShape, TokenAttributes } from "./expression/mask.ts";
import type { AttentionModifier } from "./expression/modifier.ts";
import type { AttentionPattern } from "./expression/tree.ts";

/**
 * A call of the attention operation. Shapes: B batch, H heads, G key heads (H is a multiple of G; head h uses key head
 * floor(h G / H)), Lq queries, Lk keys, D head width, E width of a value.
 */
export interface AttentionCall {
  /** [B, H, Lq, D] */
  readonly q: Tensor;
  /** [B, G, Lk, D] */
  readonly k: Tensor;
  /** [B, G, Lk, E] */
  readonly v: Tensor;
  /** Which pairs of query and key. */
  readonly pattern: AttentionPattern;
  /** Changes of the scores before the softmax, one after the other. */
  readonly modifiers?: readonly AttentionModifier[];
  /** Integers of each token that the pattern or a modifier reads. */
  readonly attributes?: TokenAttributes;
  /** Factor of q k. @default 1 / sqrt(D) */
  readonly scale?: number;
  /** Share of the probabilities set to 0, and where its random numbers come from (in the order of [B, H, Lq, Lk]). */
  readonly dropout?: { readonly rate: number; readonly address: RandomAddress };
  /** Position of the first query, or one a batch row. @default 0 */
  readonly queryOffset?: number | readonly number[];
  /** Only the first so many keys count. @default Lk */
  readonly keyLength?: number;
}

/** The pairs of a call, as masks and modifiers are asked for. */
export function maskShapeOf({ q, k, queryOffset = 0, keyLength, attributes }: AttentionCall): MaskShape {
  const [, heads, queryRows] = q.shape as [number, number, number];
  return {
    heads,
    queryRows,
    keyLength: keyLength ?? k.shape[2]!,
    queryOffset,
    ...(attributes && { attributes }),
  };
}
