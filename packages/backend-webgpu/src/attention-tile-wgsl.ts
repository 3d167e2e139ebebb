/**
 * What the passes of attention do with a tile, and what they have in common: of a tile's 32 x 32 scores a lane has 4 x 4,
 * as a matrix, whose columns i are rows of the group's own (row + 8 i), and their entries j those of the other side
 * (column + 8 j).
 */
import { TILE } from "./attention-masks.ts";
import type { ModifierCode } from "./attention-modifiers.ts";
import { loadWgsl, storeWgsl } from "./attention-wgsl.ts";

/** What a pass gives: the output, or the gradient of an input; of a table that a modifier looks up, that of each query. */
export type Pass = "o" | "dq" | "dk" | "dv" | "dtable";

/** What differs in code. */
export interface PassVariant {
  readonly pass: Pass;
  /** Vectors of 4 columns to a lane, in steps of 32 columns: a constant, so that they are held in registers. */
  readonly chunks: number;
  /** Whether 4 divides both widths. */
  readonly vectors: boolean;
  readonly dropout: boolean;
  /** Whether the forward pass keeps the greatest score and 1 / the sum of exponentials of each row. */
  readonly keepsStats: boolean;
  readonly modifiers: ModifierCode;
  /** The table of `dtable`: its modifier, and those of that modifier's lookup functions that read it. */
  readonly table?: { readonly modifier: number; readonly lookups: readonly number[] };
}

/** Lanes of a group: 8 rows of 8. */
export const SIDE = 8;
export const LANES = 64;

/** Vectors from one row of a matrix in a group's memory to the next: one more than needed, against bank conflicts. */
export const PITCH: number = SIDE + 1;

/** How wide an array's rows are, and how many values it is from one to the next. */
export const arrays = {
  q: { width: "width", step: "qRow" },
  dy: { width: "valueWidth", step: "valueWidth" },
  k: { width: "width", step: "kRow" },
  v: { width: "valueWidth", step: "vRow" },
} as const;

export type ArrayName = keyof typeof arrays;

/** How a pass goes. */
export interface PassParts {
  /** Whose ranges the groups have. */
  readonly own: "queries" | "keys";
  /** Of whose rows the scores are products: its own, then the other side's. */
  readonly score: readonly [ArrayName, ArrayName];
  /** The same for the gradients of the probabilities. */
  readonly slope?: readonly [ArrayName, ArrayName];
  /** The other side's rows that it adds up, each times a weight. */
  readonly sums?: ArrayName;
}

export const passes: Readonly<Record<Pass, PassParts>> = {
  o: { own: "queries", score: ["q", "k"], sums: "v" },
  dq: { own: "queries", score: ["q", "k"], slope: ["dy", "v"], sums: "k" },
  dk: { own: "keys", score: ["k", "q"], slope: ["v", "dy"], sums: "q" },
  dv: { own: "keys", score: ["k", "q"], sums: "dy" },
  dtable: { own: "queries", score: ["q", "k"], slope: ["dy", "v"] },
};

/** What a pass does around its tiles and with each of them. */
export interface PassCode {
  readonly functions: string;
  /** Goes on from what the earlier parts of a head left. */
  readonly begin: string;
  readonly tile: string;
  readonly end: string;
}

/** Goes through a lane's pairs: `body` knows `i`, `j`, `is_pair`, and the pair's `query_row` and `key`. */
export function eachPair(own: "queries" | "keys", body: string): string {
  const [query, key] = own === "queries" ? ["mine", "others"] : ["others", "mine"];
  const [queries, keys] = own === "queries" ? ["own", "other"] : ["other", "own"];
  return `
    for (var i = 0u; i < 4; i++) {
      for (var j = 0u; j < 4; j++) {
        let mine = row + ${SIDE} * i;
        let others = column + ${SIDE} * j;
        let is_pair = mine < own.count && others < other.count && is_allowed(mask, ${query}, ${key});
        let query_row = ${queries}.start + ${queries}.step * ${query};
        let key = ${keys}.start + ${keys}.step * ${key};
        ${body}
      }
    }`;
}

/** Goes through a lane's rows of the result: `body` knows `i`, the number `at` of its row, and where that begins. */
export const eachRow = (body: string): string => `for (var i = 0u; i < 4; i++) {
    if (row + ${SIDE} * i >= own.count) { continue; }
    let place = own.start + own.step * (row + ${SIDE} * i);
    let at = first_row + place;
    let begin = result_base + place * result_step;
    ${body}
  }`;

/** Adds the tile's weights times rows of the other side to `sums`, 4 rows a lane. */
function weighted(name: ArrayName, chunks: number): string {
  /** Of positions j, j + SIDE and so on. */
  const addRows = (rows: string): string => `
        for (var j = 0u; j < min(${SIDE}u, other.count); j++) {
          let others = mat4x4f(${[0, 1, 2, 3].map((i) => `right[(j + ${SIDE * i}) * ${SIDE} + column]`).join(", ")});
          for (var i = 0u; i < 4; i++) {
            let of_row = weights[(row + ${SIDE} * i) * ${PITCH} + j];
            sums[chunk][i] += ${rows} * of_row;
          }
        }`;
  /** Zeros for those that weigh nothing. */
  const seen = `mat4x4f(${[0, 1, 2, 3].map((n) => `select(vec4f(), others[${n}], weighs(of_row[${n}]))`).join(", ")})`;
  return `
    for (var i = 0u; i < 4; i++) { weights[(row + ${SIDE} * i) * ${PITCH} + column] = s[i]; }
    for (var chunk = 0u; chunk < ${chunks}; chunk++) {
      workgroupBarrier();
      var bits = vec4u();
      for (var at = lane; at < ${TILE * SIDE}; at += ${LANES}) {
        let values = ${name}_at(other, ${name}_base, at / ${SIDE}, ${TILE} * chunk + 4 * (at % ${SIDE}));
        right[at] = values;
        bits = max(bits, bitcast<vec4u>(values) & vec4u(0x7fffffff));
      }
      if (any(bits >= vec4u(0x7f800000))) { atomicStore(&is_wild, 1u); }
      workgroupBarrier();
      if (atomicLoad(&is_wild) == 0) {${addRows("others")}
      } else {${addRows(seen)}
      }
    }`;
}

/** A pass that adds up rows of the other side, each times a weight. */
export function summing({ chunks, vectors }: PassVariant, sums: ArrayName): PassCode {
  const width = `uniforms.${arrays[sums].width}`;
  const eachChunk = (body: string): string =>
    eachRow(`for (var chunk = 0u; chunk < ${chunks}; chunk++) {
      let from_column = ${TILE} * chunk + 4 * column;
      ${body}
    }`);
  return {
    functions: `${loadWgsl("result", vectors)}${storeWgsl("result", vectors)}
// Whether a row of the other side was seen to have Infinity or NaN, which 0 times is NaN.
var<workgroup> is_wild: atomic<u32>;`,
    begin: `if (lane == 0) { atomicStore(&is_wild, 0u); }
  var sums = array<mat4x4f, ${chunks}>();
  if (uniforms.resumes != 0) { ${eachChunk(`sums[chunk][i] = load_result(begin, ${width}, from_column);`)} }`,
    tile: weighted(sums, chunks),
    end: eachChunk(`store_result(begin, ${width}, from_column, sums[chunk][i]);`),
  };
}
