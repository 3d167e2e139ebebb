/** Products of matrices on the device: the one way that `linear`, `matmul` and their gradients take. */
import type { Activation } from "@heddle/core";
import type { Tensor } from "@tensorflow/tfjs-core";
import { byLine } from "./parts.ts";
import type { Share } from "./parts.ts";
import { flatGroups, output, run } from "./program.ts";
import type { Values } from "./program.ts";
import type { ProductForm } from "./product-parts.ts";
import { COLUMNS, lanesFor, MOST_ROWS, rowsProgram } from "./product-rows.ts";
import { tilesProgram } from "./product-tiles.ts";
import type { Tile } from "./product-tiles.ts";

/** activation(a b + bias) + residual for each matrix of a batch. */
export interface Product {
  /** [batch, rows, inner], or [batch, inner, rows] with `transposeA`. */
  readonly a: Values;
  /** [batch, inner, columns], or [batch, columns, inner] with `transposeB`. */
  readonly b: Values;
  readonly transposeA?: boolean;
  readonly transposeB?: boolean;
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

const large: Tile = { rows: 64, columns: 64, inner: 16, own: [8, 4] };
const small: Tile = { rows: 32, columns: 32, inner: 16, own: [4, 4] };

/** Fewer large tiles than this leave a large card's cores without work. */
const ENOUGH_TILES = 64;

/** The small one also where a side is no longer than it. */
function tileFor({ batch, rows, columns }: Product): Tile {
  const count = batch * Math.ceil(rows / large.rows) * Math.ceil(columns / large.columns);
  return count >= ENOUGH_TILES && Math.min(rows, columns) > small.rows ? large : small;
}

/** A new tensor of that shape, over the result's values: one dispatch. */
export function product(call: Product, shape: readonly number[]): Tensor {
  const { a, b, batch, rows, inner, columns, bias, activation, residual } = call;
  const y = output(shape);
  if (y.size === 0) return y;
  // A single row or column lies in memory as its transpose does.
  const aAlong = !call.transposeA || rows === 1;
  const bAlong = call.transposeB === true || columns === 1;
  const isFew = rows <= MOST_ROWS && aAlong;
  const form: ProductForm = {
    a: { alongInner: aAlong, vectors: (aAlong ? inner : rows) % 4 === 0 },
    b: { alongInner: bAlong, vectors: (bAlong ? inner : columns) % 4 === 0 },
    bias: bias !== undefined,
    activation,
    residual: residual !== undefined,
    // An invocation of a tile then has neighbouring columns.
    writesVectors: !isFew && !bAlong && columns % 4 === 0,
  };
  const tile = tileFor(call);
  const [ownRows, ownColumns] = isFew ? [rows, COLUMNS] : [tile.rows, tile.columns];
  const [across, down] = [Math.ceil(columns / ownColumns), Math.ceil(rows / ownRows)];
  const rowsBefore = (line: number): number =>
    Math.floor(line / down) * rows + Math.min(rows, (line % down) * ownRows);
  const byRows = (width: number): Share => byLine(across, (line) => rowsBefore(line) * width);
  const byMatrix = (values: number): Share => byLine(across * down, (matrix) => matrix * values);
  const of = isFew ? rowsProgram({ form, rows, lanes: lanesFor(inner) }) : tilesProgram({ form, tile });
  run(of, {
    buffers: { a, b, bias, residual, y },
    uniforms: { rows, inner, columns, batch },
    groups: flatGroups(across * down * batch),
    shares: {
      a: aAlong ? byRows(inner) : byMatrix(inner * rows),
      b: byMatrix(inner * columns),
      residual: byRows(columns),
      y: byRows(columns),
    },
  });
  return y;
}
