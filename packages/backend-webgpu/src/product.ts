/** Products of matrices on the device: the one way that `linear`, `matmul` and their gradients take. */
import type { Activation, StorageKind } from "@heddle/core";
import type { Tensor } from "@tensorflow/tfjs-core";
import { engine } from "./engine.ts";
import { VALUE_BYTES } from "./matrix-forms.ts";
import { byLine } from "./parts.ts";
import type { Share } from "./parts.ts";
import { flatGroups } from "./program.ts";
import { output, run } from "./run.ts";
import type { Values } from "./run.ts";
import type { ProductForm } from "./product-parts.ts";
import { COLUMNS, MOST_ROWS, rowsProgram } from "./product-rows.ts";
import { tilesProgram } from "./product-tiles.ts";
import { calibrationOf, lanesFor, tileFor } from "./calibration.ts";

/** activation(a b + bias) + residual for each matrix of a batch. */
export interface Product {
  /** [batch, rows, inner], or [batch, inner, rows] with `transposeA`. */
  readonly a: Values;
  /** [batch, inner, columns], or [batch, columns, inner] with `transposeB`. */
  readonly b: Values;
  readonly transposeA?: boolean;
  readonly transposeB?: boolean;
  /** How the values of `b` are held. @default "f32" */
  readonly storage?: StorageKind | undefined;
  readonly batch: number;
  readonly rows: number;
  readonly inner: number;
  readonly columns: number;
  /** [columns] */
  readonly bias?: Tensor | undefined;
  readonly activation?: Activation | undefined;
  /** As the result. */
  readonly residual?: Values | undefined;
}

/** A new tensor of that shape, over the result's values. */
export function product(call: Product, shape: readonly number[]): Tensor {
  const y = output(shape);
  if (y.size > 0) productInto(call, y);
  return y;
}

/** One dispatch. */
export function productInto(call: Product, y: Values): void {
  const { a, b, batch, rows, inner, columns, bias, activation, residual } = call;
  // A single row or column lies in memory as its transpose does.
  const aAlong = !call.transposeA || rows === 1;
  const bAlong = call.transposeB === true || columns === 1;
  const calibration = calibrationOf(engine().device);
  const storage = call.storage ?? "f32";
  const isFew = rows <= MOST_ROWS && aAlong;
  const form: ProductForm = {
    a: { alongInner: aAlong, vectors: (aAlong ? inner : rows) % 4 === 0, storage: "f32" },
    b: { alongInner: bAlong, vectors: (bAlong ? inner : columns) % 4 === 0, storage },
    bias: bias !== undefined,
    activation,
    residual: residual !== undefined,
    // An invocation of a tile then has neighbouring columns.
    writesVectors: !isFew && !bAlong && columns % 4 === 0,
  };
  const tile = tileFor(call, calibration);
  const [ownRows, ownColumns] = isFew ? [rows, COLUMNS] : [tile.rows, tile.columns];
  const [across, down] = [Math.ceil(columns / ownColumns), Math.ceil(rows / ownRows)];
  const rowsBefore = (line: number): number =>
    Math.floor(line / down) * rows + Math.min(rows, (line % down) * ownRows);
  const byRows = (width: number): Share => byLine(across, (line) => rowsBefore(line) * width);
  const byMatrix = (values: number): Share => byLine(across * down, (matrix) => matrix * values);
  const of = isFew
    ? rowsProgram({ form, rows, lanes: lanesFor(rows, inner, calibration) })
    : tilesProgram({ form, tile });
  run(of, {
    buffers: { a, b, bias, residual, y },
    uniforms: { rows, inner, columns, batch },
    groups: flatGroups(across * down * batch),
    shares: {
      a: aAlong ? byRows(inner) : byMatrix(inner * rows),
      b: byMatrix(Math.ceil((inner * columns * VALUE_BYTES[storage]) / VALUE_BYTES.f32)),
      residual: byRows(columns),
      y: byRows(columns),
    },
  });
}
