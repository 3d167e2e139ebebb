import type { Tensor } from "@tensorflow/tfjs-core";
import type { AttentionModifier } from "@heddle/attention";
import type { Weights } from "@heddle/core";

/** The model that a position is built into. */
export interface PositionShape {
  /** Width of the embeddings. */
  readonly width: number;
  readonly heads: number;
  /** Rows of a position table: the greatest number of tokens, and what comes before the first position. */
  readonly maxLength: number;
  /** Position of the first token. @default 0 */
  readonly first?: number;
  /** Name of the model's position table in its checkpoints: `wpe`, `position_embeddings`. */
  readonly table: string;
}

/** What a position does, at one or more of three places. */
export interface BuiltPosition {
  /** To the embeddings [B, L, width], with the position of each token, [L] or [B L]. */
  onEmbedding?(x: Tensor, positions: Int32Array): Tensor;
  /** To queries and to keys [B, H, L, D], in every layer. */
  onQueryKey?(x: Tensor, positions: Int32Array): Tensor;
  /** To the attention scores, in every layer, by the same expressions each time; asked once a forward pass, and for `cacheable`. */
  onScore?(): readonly AttentionModifier[];
}

/** How a model knows the order of its tokens. Swapped by value: `model.with({ position: alibi() })`. */
export interface Position {
  readonly kind: "position";
  readonly name: string;
  /** With `name`, the JSON of the position. */
  readonly options: Readonly<Record<string, unknown>>;
  /** Declares what it needs among the weights. */
  build(weights: Weights, shape: PositionShape): BuiltPosition;
}

declare module "@heddle/core" {
  interface RegistryKinds {
    positions: Position;
  }
}
