/** Matrices in the layout that a backend's kernels read best. */
import type { Tensor } from "@tensorflow/tfjs-core";

/** How a weight of `linear` is stored: `linear` is [out, in] as torch.nn.Linear, `conv1d` [in, out] as GPT-2. */
export type MatrixLayout = "linear" | "conv1d";

/** A form in which a backend holds matrices. */
export interface MatrixForm {
  /** Carries its facts: `f32.panels`. */
  readonly name: string;
  /**
   * The plain values as float32 in their layout and shape, a new tensor: exactly those that are held. The backend that
   * holds them runs still, but another one may be active.
   */
  unpack(packed: PackedMatrix): Tensor;
}

/** A layout of a backend for the weights of `linear`. */
export interface Packing extends MatrixForm {
  /** The packed values, a new tensor. */
  pack(weight: Tensor, layout: MatrixLayout): Tensor;
}

/**
 * Matrices of 16-bit numbers as a backend's kernels read them: row by row, two numbers in each value of an int32 tensor,
 * the first in its lower half.
 */
export interface HalfForms {
  readonly f16: MatrixForm;
  readonly bf16: MatrixForm;
}

/** A matrix in a backend's form, for inference: it has no gradient. */
export interface PackedMatrix {
  readonly kind: "packed";
  readonly packing: MatrixForm;
  readonly layout: MatrixLayout;
  /** Of the plain values, in their layout. */
  readonly shape: readonly number[];
  readonly values: Tensor;
}
