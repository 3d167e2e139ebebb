/** Products of many rows: a group computes a tile of the result from tiles of the factors in workgroup memory. */
import { flatGroup, flatMain, program, programs } from "./program.ts";
import type { Program } from "./program.ts";
import { formName, productArrays, productFunctions, storeQuad } from "./product-parts.ts";
import type { FactorForm, ProductBuffers, ProductForm, ProductUniforms } from "./product-parts.ts";

/** What a group computes; all are multiples of 4. */
export interface Tile {
  readonly rows: number;
  readonly columns: number;
  /** Steps of the inner dimension that are in workgroup memory at a time. */
  readonly inner: number;
  /** Rows and columns of an invocation, whose sums it keeps in registers. */
  readonly own: readonly [rows: number, columns: number];
}

const range = (length: number): number[] => Array.from({ length }, (_, i) => i);
const parts = ["x", "y", "z", "w"] as const;

/** A factor's tile in workgroup memory, as it lies in the factor itself: quads of neighbours, one line after another. */
interface TileSide extends FactorForm {
  readonly name: "a" | "b";
  /** Rows of `a` or columns of `b` in the tile, and of an invocation. */
  readonly length: number;
  readonly own: number;
  /** The invocation's place among those along this side. */
  readonly place: string;
}

/** Quads from line to line. One is added along the inner dimension, so that lines start in different banks. */
const stride = ({ alongInner, length }: TileSide, inner: number): number =>
  alongInner ? inner / 4 + 1 : length / 4;

/** Lines of a tile: those of the factor that it takes part of. */
const sideLines = ({ alongInner, length }: TileSide, inner: number): number => (alongInner ? length : inner);

/** Neighbouring invocations read neighbouring quads. */
function load(side: TileSide, inner: number, size: number): string {
  const { name, alongInner, length } = side;
  const width = (alongInner ? inner : length) / 4;
  const [line, at] = alongInner ? [`first_${name}`, "step"] : ["step", `first_${name}`];
  return `
    for (var i = lane; i < ${sideLines(side, inner) * width}; i += ${size}) {
      let line = i / ${width};
      let quad = i % ${width};
      ${name}_tile[line * ${stride(side, inner)} + quad] = ${name}_quad(matrix, ${line} + line, ${at} + 4 * quad);
    }`;
}

/** An invocation's quads of four inner steps. */
function readQuads(side: TileSide, inner: number): string {
  const { name, alongInner, length, own, place } = side;
  const others = length / own;
  const step = stride(side, inner);
  return (
    alongInner
      ? range(own).map((i) => `let ${name}${i} = ${name}_tile[(${place} + ${i * others}) * ${step} + quad];`)
      : range(4).flatMap((k) =>
          range(own / 4).map(
            (q) =>
              `let ${name}${k}_${q} = ${name}_tile[(quad * 4 + ${k}) * ${step} + ${place} + ${q * others}];`,
          ),
        )
  ).join("\n      ");
}

/** An invocation's value number `i` at inner step `k` of four. */
const valueOf = ({ name, alongInner }: TileSide, i: number, k: number): string =>
  alongInner ? `${name}${i}.${parts[k]}` : `${name}${k}_${Math.floor(i / 4)}.${parts[i % 4]}`;

/** Row or column of an invocation's value number `i`. */
function positionOf({ name, alongInner, length, own, place }: TileSide, i: number): string {
  const others = length / own;
  return alongInner
    ? `first_${name} + ${place} + ${i * others}`
    : `first_${name} + (${place} + ${Math.floor(i / 4) * others}) * 4 + ${i % 4}`;
}

/** What a program over tiles is written for. */
interface TilesVariant {
  readonly form: ProductForm;
  readonly tile: Tile;
}

/** A program with one group a tile of each matrix of the batch. */
export const tilesProgram: (variant: TilesVariant) => Program<ProductBuffers, ProductUniforms> = programs(
  ({ form, tile }) => {
    const { rows, columns, inner } = tile;
    const [ownRows, ownColumns] = tile.own;
    const across = columns / ownColumns;
    const size = across * (rows / ownRows);
    const a: TileSide = { ...form.a, name: "a", length: rows, own: ownRows, place: "down" };
    const b: TileSide = { ...form.b, name: "b", length: columns, own: ownColumns, place: "across" };
    const quads = range(ownColumns / 4);
    const sums = range(ownRows).flatMap((i) => quads.map((q) => ({ i, q, name: `sum${i}_${q}` })));
    const four = (q: number, k: number): string =>
      b.alongInner
        ? `vec4f(${range(4)
            .map((j) => valueOf(b, 4 * q + j, k))
            .join(", ")})`
        : `b${k}_${q}`;
    const store = ({ i, q, name }: (typeof sums)[number]): string => {
      const columnsOf = range(4).map((j) => positionOf(b, 4 * q + j));
      return storeQuad(form, positionOf(a, i), columnsOf, name);
    };
    return program({
      name: `product.f32.${formName(form)}.tile${rows}x${columns}x${inner}`,
      ...productArrays(form),
      code: `${productFunctions(form)}
var<workgroup> a_tile: array<vec4f, ${sideLines(a, inner) * stride(a, inner)}>;
var<workgroup> b_tile: array<vec4f, ${sideLines(b, inner) * stride(b, inner)}>;
${flatMain(size)}
  let across = lane % ${across};
  let down = lane / ${across};
  let tiles_across = (uniforms.columns + ${columns - 1}) / ${columns};
  let tiles = tiles_across * ((uniforms.rows + ${rows - 1}) / ${rows});
  let matrix = ${flatGroup} / tiles;
  let tile = ${flatGroup} % tiles;
  if (matrix >= uniforms.batch) { return; }
  let first_a = tile / tiles_across * ${rows};
  let first_b = tile % tiles_across * ${columns};
  ${sums.map(({ name }) => `var ${name} = vec4f();`).join("\n  ")}
  for (var step = 0u; step < uniforms.inner; step += ${inner}) {
    ${load(a, inner, size)}${load(b, inner, size)}
    workgroupBarrier();
    for (var quad = 0u; quad < ${inner / 4}; quad++) {
      ${readQuads(a, inner)}
      ${readQuads(b, inner)}
      ${range(4)
        .flatMap((k) => [
          ...quads.map((q) => `let four${k}_${q} = ${four(q, k)};`),
          ...sums.map(({ i, q, name }) => `${name} += ${valueOf(a, i, k)} * four${k}_${q};`),
        ])
        .join("\n      ")}
    }
    workgroupBarrier();
  }
  ${sums.map(store).join("\n  ")}
}`,
    });
  },
);
