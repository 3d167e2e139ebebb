import type { Tensor } from "@tensorflow/tfjs-core";
import type { AttentionModifier, KeyValueCache, TokenAttributes } from "@heddle/attention";
import { dropout } from "@heddle/core";
import type { DropoutCall } from "@heddle/core";

/** What flows through the layers of a model beside the values. Shapes: B batch, L length. */
export interface LayerContext {
  /** In training: what dropout's random numbers are addressed by. */
  readonly training?: { readonly seed: number; readonly step: number };
  /** Position of each token, [L] or [B L]. */
  readonly positions: Int32Array;
  /** Integers of each token, "keep" among them when some are padding. */
  readonly attributes: TokenAttributes;
  /** Whether some tokens are padding. */
  readonly padded: boolean;
  /** Changes of the attention scores that the model's position brings. */
  readonly modifiers: readonly AttentionModifier[];
  /** What the model's position does to queries and keys [B, H, L, D]. */
  readonly turn?: (x: Tensor) => Tensor;
  /** Keys and values of earlier tokens. */
  readonly cache?: KeyValueCache;
  /** Asked by each attention layer for the part of its map that is wanted. */
  readonly maps?: AttentionMapRequest;
}

/** Attention maps asked for in a forward pass. */
export interface AttentionMapRequest {
  wants(layer: number): boolean;
  readonly heads?: readonly number[];
  readonly rows?: readonly number[];
  /** Receives [B, heads, rows, Lk] of a layer. */
  give(layer: number, map: Tensor): void;
}

/**
 * What of attention's probabilities or a layer's output is dropped in training, as they take it; `path` makes its random
 * numbers its own. Outside training nothing.
 */
export function dropoutOf(
  rate: number,
  path: string,
  { training }: Pick<LayerContext, "training">,
): { readonly dropout?: Omit<DropoutCall, "x"> } {
  return training && rate !== 0 ? { dropout: { rate, address: { ...training, path } } } : {};
}

/** Dropout in training; `path` makes its random numbers its own. Outside training x itself. */
export function dropoutAt(x: Tensor, rate: number, path: string, context: LayerContext): Tensor {
  const { dropout: dropped } = dropoutOf(rate, path, context);
  return dropped ? dropout({ x, ...dropped }) : x;
}
