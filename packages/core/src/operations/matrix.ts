/** Matrices of a call that may be in a backend's form: the weights of `linear`, and the tables of `embedding`. */
import type { Tensor } from "@tensorflow/tfjs-core";
import { HeddleError, checkShape } from "../errors.ts";
import type { PackedMatrix } from "../packing.ts";
import { isDifferentiating } from "../tape.ts";
import { checkFloatsOf } from "./tensors.ts";

/** Checks that a value is a matrix of such a shape, plain or in a backend's form, which has no gradient. */
export function checkMatrix(
  where: string,
  matrix: Tensor | PackedMatrix,
  shape: readonly (number | null)[],
): void {
  if (!(matrix as PackedMatrix | undefined)?.packing) {
    checkFloatsOf(where, matrix as Tensor, shape);
    return;
  }
  if (isDifferentiating())
    throw new HeddleError(
      "invalid-state",
      `${where} must be plain while differentiating, since no gradient flows through a packed one`,
    );
  checkShape(where, matrix.shape, shape);
}

/** The plain values of a matrix; a new tensor where it is in a backend's form. */
export const plainOf = (matrix: Tensor | PackedMatrix): Tensor =>
  "kind" in matrix ? matrix.packing.unpack(matrix) : matrix;
