/** Matrices in the layout that a backend's kernels read best. */
import type { Tensor } from "@tensorflow/tfjs-core";

/** How a weight of `linear` is stored: `linear` is [out, in] as torch.nn.Linear, `conv1d` [in, out] as GPT-2. */
export type MatrixLayout = "linear" | "conv1d";

/** A layout of a backend for the weights of `linear`. */
export interface Packing {
  /** Carries its facts: `f32.panels`. */
  readonly name: string;
  /** The packed values, a new tensor. */
  pack(weight: Tensor, layout: MatrixLayout): Tensor;
  /**
   * The plain values in their layout and shape, a new tensor: exactly those that were packed. The backend that packed
   * them runs still, but another one may be active.
   */
  unpack(packed: PackedMatrix): Tensor;
}

/** A weight in a backend's layout, for inference: it has no gradient. */
export interface PackedMatrix {
  readonly kind: "packed";
  readonly packing: Packing;
  readonly layout: MatrixLayout;
  /** Of the plain values, in their layout. */
  readonly shape: readonly number[];
  readonly values: Tensor;
}
