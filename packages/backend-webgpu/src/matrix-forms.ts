/** The forms of matrices: float32, or 16-bit numbers, two a word, which kernels read without `shader-f16`. */
import type { HalfForms, HalfKind, MatrixForm, PackedMatrix, Packing, StorageKind } from "@heddle/core";
import * as tf from "@tensorflow/tfjs-core";
import type { Tensor } from "@tensorflow/tfjs-core";
import { EACH, eachGroups, eachIndex, program, programs } from "./program.ts";
import { output, run } from "./run.ts";
import type { Element } from "./program.ts";

/** Bytes of a value. */
export const VALUE_BYTES: Readonly<Record<StorageKind, number>> = { f32: 4, f16: 2, bf16: 2 };

/** What an array of values in memory is of; `vectors` are four values. */
export const storedElement = (storage: StorageKind, vectors: boolean): Element =>
  storage === "f32" ? (vectors ? "vec4f" : "f32") : vectors ? "vec2u" : "u32";

/** In WGSL, the two numbers of a word. */
const pair: Readonly<Record<HalfKind, (word: string) => string>> = {
  f16: (word) => `unpack2x16float(${word})`,
  bf16: (word) => `bitcast<vec2f>(vec2u(${word} << 16, ${word} & 0xffff0000))`,
};

/** In WGSL, `name_at(i)`: value i of an array, or the four from i on where it is read by vectors. */
export function storedWgsl(name: string, storage: StorageKind, vectors: boolean): string {
  const head = `fn ${name}_at(i: u32) -> ${vectors ? "vec4f" : "f32"} {`;
  if (storage === "f32") return `${head} return ${name}[${vectors ? "i / 4" : "i"}]; }`;
  return vectors
    ? `${head} let words = ${name}[i / 4]; return vec4f(${pair[storage]("words.x")}, ${pair[storage]("words.y")}); }`
    : `${head} let both = ${pair[storage](`${name}[i / 2]`)}; return select(both.x, both.y, i % 2 == 1); }`;
}

const widenProgram = programs((storage: HalfKind) =>
  program({
    name: `widen.${storage}`,
    reads: { x: "u32" },
    writes: { y: "f32" },
    uniforms: { size: "u32" },
    code: `${storedWgsl("x", storage, false)}${eachIndex("uniforms.size", "y[i] = x_at(i);")}`,
  }),
);

/** The values as a plain matrix. */
function widen(storage: HalfKind, { values, shape }: PackedMatrix): Tensor {
  const y = output(shape);
  run(widenProgram(storage), {
    buffers: { x: values, y },
    uniforms: { size: y.size },
    groups: eachGroups(y.size),
    shares: { x: (EACH * VALUE_BYTES[storage]) / VALUE_BYTES.f32, y: EACH },
  });
  return y;
}

const pairs = (storage: HalfKind): MatrixForm => ({
  name: `${storage}.pairs`,
  unpack: (matrix) => widen(storage, matrix),
});

/** Those of 16-bit storage. */
export const halves: HalfForms = { f16: pairs("f16"), bf16: pairs("bf16") };

/** Weights as they are stored: what is packed together, as q, k and v are, is one matrix and takes one dispatch. */
export const plain: Packing = {
  name: "f32.plain",
  pack: (weight) => tf.clone(weight),
  unpack: ({ values }) => tf.clone(values),
};

/** In which storage a matrix is; undefined for a form that is none of this backend's. */
export function storageOf(matrix: Tensor | PackedMatrix): StorageKind | undefined {
  if (!("kind" in matrix) || matrix.packing === plain) return "f32";
  return (["f16", "bf16"] as const).find((storage) => matrix.packing === halves[storage]);
}

/** A matrix's values, as they are held. */
export const valuesOf = (matrix: Tensor | PackedMatrix): Tensor =>
  "kind" in matrix ? matrix.values : matrix;

/** Why kernels cannot read the matrix of that name. */
export const unsupportedForm = (name: string, matrix: Tensor | PackedMatrix): readonly string[] =>
  storageOf(matrix) ? [] : [`the ${name} is packed as ${(matrix as PackedMatrix).packing.name}`];
