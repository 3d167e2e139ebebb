/** Products of matrices on the device: the one way that `linear`, `matmul` and their gradients take. */
import type { Activation, StorageKind } from "@heddle/core";
import type { Tensor } from "@tensorflow/tfjs-core";
import { engine } from "./engine.ts";
import { flatGroups, output, run } from "./program.ts";
import type { Part, Values } from "./program.ts";
import type { ProductForm } from "./product-parts.ts";
import { MOST_ROWS, rowsGroups, rowsProgram } from "./product-rows.ts";
import { tilesProgram } from "./product-tiles.ts";
import { calibrationOf, groupsOf, lanesFor, tileFor } from "./calibration.ts";

/** activation(a b + bias) + residual for each matrix of a batch. */
export interface Product {
  /** [batch, rows, inner], or [batch, inner, rows] with `transposeA`. */
  readonly a: Values | Part;
  /** [batch, inner, columns], or [batch, columns, inner] with `transposeB`. */
  readonly b: Values | Part;
  readonly transposeA?: boolean;
  readonly transposeB?: boolean;
  /** How the values of `b` are held. @default "f32" */
  readonly storage?: StorageKind | undefined;
  readonly batch: number;
  readonly rows: number;
  readonly inner: number;
  readonly columns: number;
  /** [columns], or [width] of what it goes into */
  readonly bias?: Tensor | undefined;
  readonly activation?: Activation | undefined;
  /** As the result, or as what it goes into. */
  readonly residual?: Values | Part | undefined;
}

/** Columns from `first` on of a result that is `width` wide. */
export interface Columns {
  readonly y: Values | Part;
  readonly first: number;
  readonly width: number;
}

/** A new tensor of that shape, over the result's values. */
export function product(call: Product, shape: readonly number[]): Tensor {
  const y = output(shape);
  if (y.size > 0) productInto(call, { y, first: 0, width: call.columns });
  return y;
}

/** One dispatch. */
export function productInto(call: Product, { y, first, width }: Columns): void {
  const { a, b, batch, rows, inner, columns, bias, activation, residual } = call;
  // A single row or column lies in memory as its transpose does.
  const aAlong = !call.transposeA || rows === 1;
  const bAlong = call.transposeB === true || columns === 1;
  const calibration = calibrationOf(engine().device);
  const isFew = rows <= MOST_ROWS && aAlong;
  const form: ProductForm = {
    a: { alongInner: aAlong, vectors: (aAlong ? inner : rows) % 4 === 0, storage: "f32" },
    b: { alongInner: bAlong, vectors: (bAlong ? inner : columns) % 4 === 0, storage: call.storage ?? "f32" },
    bias: bias !== undefined,
    activation,
    residual: residual !== undefined,
    // An invocation of a tile then has neighbouring columns.
    writesVectors: !isFew && !bAlong && [columns, first, width].every((n) => n % 4 === 0),
  };
  const over = {
    buffers: { a, b, bias, residual, y },
    uniforms: { rows, inner, columns, batch, first, width },
  };
  if (isFew) {
    run(rowsProgram({ form, rows, lanes: lanesFor(rows, inner, calibration) }), {
      ...over,
      groups: rowsGroups(columns, batch),
    });
  } else {
    const tile = tileFor(call, calibration);
    run(tilesProgram({ form, tile }), { ...over, groups: flatGroups(groupsOf(tile, call)) });
  }
}
