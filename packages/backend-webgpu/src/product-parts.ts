/** What all programs for products share, in WGSL: how factors are read, and what is done with a finished value. */
import type { Activation, StorageKind } from "@heddle/core";
import { activateFour, activateWgsl } from "./activation.ts";
import { storedElement, storedWgsl } from "./matrix-forms.ts";
import type { ProgramParts } from "./program.ts";

/** How a factor lies in memory. */
export interface FactorForm {
  /** Its values run along the inner dimension, which both factors have; else across it. */
  readonly alongInner: boolean;
  /** 4 divides what its values run along: they are read as vectors. */
  readonly vectors: boolean;
  readonly storage: StorageKind;
}

/** Facts of a product that are written into its code. */
export interface ProductForm {
  /** [rows, inner] if it runs along the inner dimension, else [inner, rows]. */
  readonly a: FactorForm;
  /** [columns, inner] if it runs along the inner dimension, else [inner, columns]. */
  readonly b: FactorForm;
  readonly bias: boolean;
  readonly activation: Activation | undefined;
  readonly residual: boolean;
  /** Four columns of the result are written together; 4 divides their number. */
  readonly writesVectors: boolean;
}

/** A product's sizes. */
export type ProductUniforms = "rows" | "inner" | "columns" | "batch";
type Reads = "a" | "b" | "bias" | "residual";

/** The factors, what is added, and the result. */
export type ProductBuffers = Reads | "y";

const element = (vectors: boolean): "vec4f" | "f32" => (vectors ? "vec4f" : "f32");

/** A product's buffers and uniforms, as parts of its program. */
export function productArrays(
  form: ProductForm,
): Omit<ProgramParts<Reads, "y", ProductUniforms>, "name" | "code"> {
  const result = element(form.writesVectors);
  return {
    reads: {
      a: storedElement(form.a.storage, form.a.vectors),
      b: storedElement(form.b.storage, form.b.vectors),
      bias: form.bias ? result : undefined,
      residual: form.residual ? result : undefined,
    },
    writes: { y: result },
    uniforms: { rows: "u32", inner: "u32", columns: "u32", batch: "u32" },
  };
}

/**
 * The form's part of a program's name: `nt.vec4` with `n` for a factor as it is and `t` for a transposed one, and
 * `f16nt` for a second one in 16-bit storage.
 */
export const formName = ({ a, b }: ProductForm): string =>
  `${b.storage === "f32" ? "" : b.storage}${a.alongInner ? "n" : "t"}${b.alongInner ? "t" : "n"}${a.vectors && b.vectors ? ".vec4" : ""}`;

const factorWgsl = (name: "a" | "b", { alongInner, vectors, storage }: FactorForm): string => {
  const outer = name === "a" ? "uniforms.rows" : "uniforms.columns";
  const [lines, width] = alongInner ? [outer, "uniforms.inner"] : ["uniforms.inner", outer];
  const inside = (i: number): string => `${alongInner ? `at + ${i}` : "line"} < uniforms.inner`;
  const each = [0, 1, 2, 3].map((i) => `select(0.0, ${name}_at(i + ${i}), ${inside(i)})`);
  return `${storedWgsl(name, storage, vectors)}
fn ${name}_quad(matrix: u32, line: u32, at: u32) -> vec4f {
  let i = (matrix * ${lines} + line) * ${width} + at;
  return ${vectors ? `select(vec4f(), ${name}_at(i), ${inside(0)})` : `vec4f(${each.join(", ")})`};
}`;
};

/**
 * `a_quad` and `b_quad` read four neighbours in a line of a matrix: zeros beyond the inner dimension, so that they add
 * nothing, and anything beyond the rows or columns, whose sums are not stored. `store` writes a sum, or four of
 * neighbouring columns where the form writes vectors, after the bias, the activation and the residual.
 */
export function productFunctions(form: ProductForm): string {
  const { writesVectors: vectors } = form;
  const at = (i: string): string => (vectors ? `${i} / 4` : i);
  const activated = vectors ? activateFour("value") : "activate(value)";
  return `${factorWgsl("a", form.a)}
${factorWgsl("b", form.b)}
${form.activation ? activateWgsl(form.activation) : ""}
fn store(matrix: u32, row: u32, column: u32, sum: ${element(vectors)}) {
  if (row >= uniforms.rows || column >= uniforms.columns) { return; }
  let i = (matrix * uniforms.rows + row) * uniforms.columns + column;
  let value = sum${form.bias ? ` + bias[${at("column")}]` : ""};
  y[${at("i")}] = ${form.activation ? activated : "value"}${form.residual ? ` + residual[${at("i")}]` : ""};
}`;
}

/** Writes the sums of four columns of a row. */
export const storeQuad = (
  form: ProductForm,
  row: string,
  columns: readonly string[],
  sums: string,
): string =>
  form.writesVectors
    ? `store(matrix, ${row}, ${columns[0]}, ${sums});`
    : columns.map((column, i) => `store(matrix, ${row}, ${column}, ${sums}[${i}]);`).join(" ");
