import type { Tensor } from "@tensorflow/tfjs-core";
import type { Weights } from "@heddle/core";
import type { AttentionCall } from "./call.ts";
import type { AttentionModifier } from "./expression/modifier.ts";
import type { AttentionPattern } from "./expression/tree.ts";

/** What a mechanism can do; whoever needs more refuses it with these names. */
export interface MechanismCapabilities {
  /** Has a form in which no query sees a later key: needed in a decoder. */
  readonly causal: boolean;
  /** Works with a `KeyValueCache`. */
  readonly cache: boolean;
  /** Can give attention maps. */
  readonly maps: boolean;
}

/** One of the layer's own projections, as [out, in] and [out], for mechanisms that start from a copy of it. */
export interface ProjectionSource {
  readonly weight: () => Tensor;
  readonly bias: () => Tensor;
}

/** The layer that a mechanism is built into. */
export interface MechanismShape {
  /** Width of the layer's input. */
  readonly width: number;
  readonly heads: number;
  readonly keyHeads: number;
  readonly headWidth: number;
  /** Whether no query may see a later key, for what cannot be said by `allowed`. */
  readonly causal: boolean;
  /** Where the layer's own projections are, as first values for copies of them. */
  readonly projections: Readonly<Record<"query" | "key" | "value", ProjectionSource>>;
  /** Pairs that the layer allows whatever the mechanism: causal in a decoder; `padded` without the keys of padding. */
  readonly allowed: { readonly plain: AttentionPattern; readonly padded: AttentionPattern };
}

/** A call of a mechanism: the layer's input and what its own projections make of it. Shapes: L length, D head width. */
export interface MechanismCall extends Omit<AttentionCall, "pattern" | "keyLength"> {
  /** The layer's input, [B, L, width]. */
  readonly x: Tensor;
  /** Whether some tokens are padding: the attribute "keep" is there then. */
  readonly padded: boolean;
  /** Position of each token, [L] or [B L]. */
  readonly positions: Int32Array;
  /** What positions do to queries and keys [B, H, L, D], where they do (rotary). */
  readonly turn?: (x: Tensor) => Tensor;
}

/**
 * Attention that no pattern can express: its own parameters, or routing by the data. It goes where a pattern goes.
 */
export interface AttentionMechanism {
  readonly kind: "mechanism";
  readonly name: string;
  /** With `name`, the JSON of the mechanism. */
  readonly options: Readonly<Record<string, unknown>>;
  readonly capabilities: MechanismCapabilities;
  /**
   * Declares what it needs beside the layer's projections and gives its forward pass, whose result is the heads side
   * by side, [B, L, H D].
   */
  build(weights: Weights, shape: MechanismShape): (call: MechanismCall) => Tensor;
}

/** What may be asked for as attention. */
export type Attention = AttentionPattern | AttentionMechanism;

declare module "@heddle/core" {
  interface RegistryKinds {
    patterns: AttentionPattern;
    mechanisms: AttentionMechanism;
    modifiers: AttentionModifier;
  }
}
