/**
 * The passes of attention over the tiles of a plan, https://arxiv.org/abs/2205.14135: forward, and the gradients of q,
 * k, v and what modifiers look up, for which the probabilities of a tile are made again. A group has a range of queries
 * (or of keys, for dk and dv) of one head as its own, and goes through the tiles that it has with the other side's.
 *
 * Of a tile's 32 x 32 scores a lane has 4 x 4, as a matrix: its columns i are rows of the group's own (row + 8 i), their
 * entries j those of the other side (column + 8 j).
 */
import { TILE } from "./attention-masks.ts";
import type { ModifierCode } from "./attention-modifiers.ts";
import { ENTRY } from "./attention-plan.ts";
import {
  entryOf,
  loadWgsl,
  NEVER,
  place,
  sharedWgsl,
  stages,
  storeWgsl,
  passUniforms,
} from "./attention-wgsl.ts";
import type { PassBuffer, PassUniform } from "./attention-wgsl.ts";
import { headAt } from "./heads-in-place.ts";
import { program, programs } from "./program.ts";
import type { Program } from "./program.ts";

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
const [SIDE, LANES] = [8, 64];

/** Vectors from one row of a matrix in a group's memory to the next: one more than needed, against bank conflicts. */
const PITCH = SIDE + 1;

/** How wide an array's rows are, and how many values it is from one to the next. */
const arrays = {
  q: { width: "width", step: "qRow" },
  dy: { width: "valueWidth", step: "valueWidth" },
  k: { width: "width", step: "kRow" },
  v: { width: "valueWidth", step: "vRow" },
} as const;

type ArrayName = keyof typeof arrays;

/** How a pass goes. */
interface PassParts {
  /** Whose ranges the groups have. */
  readonly own: "queries" | "keys";
  /** Of whose rows the scores are products: its own, then the other side's. */
  readonly score: readonly [ArrayName, ArrayName];
  /** The same for the gradients of the probabilities. */
  readonly slope?: readonly [ArrayName, ArrayName];
  /** The other side's rows that it adds up, each times a weight. */
  readonly sums?: ArrayName;
}

const passes: Readonly<Record<Pass, PassParts>> = {
  o: { own: "queries", score: ["q", "k"], sums: "v" },
  dq: { own: "queries", score: ["q", "k"], slope: ["dy", "v"], sums: "k" },
  dk: { own: "keys", score: ["k", "q"], slope: ["v", "dy"], sums: "q" },
  dv: { own: "keys", score: ["k", "q"], sums: "dy" },
  dtable: { own: "queries", score: ["q", "k"], slope: ["dy", "v"] },
};

/** From the gradient of a modified score to that of what modifier `to` gave, -1 being the score before all of them. */
function slopes(count: number, to: number): string {
  const back = Array.from(
    { length: count },
    (_, n) => `  slope *= clamp(modifyScoreDerivative_${n}(s${n}, ${place}), -3e38, 3e38);\n`,
  );
  return `  var slope = upstream;\n${stages(count - 1)}${back
    .slice(to + 1)
    .toReversed()
    .join("")}`;
}

/** `unmodified`: the gradient of the score before any modifier. */
const slopeWgsl = (count: number): string => `
fn unmodified(s0: f32, upstream: f32, row: u32, key: u32) -> f32 {
${slopes(count, -1)}  return slope;
}`;

/** `lookup_index<n>` and `lookup_slope<n>` of lookup n: the entry that a pair reads, and its gradient. */
const lookupWgsl = (count: number, modifier: number, n: number): string => `
fn lookup_index${n}(s0: f32, row: u32, key: u32) -> i32 {
${stages(modifier)}  return modifyLookupIndex${n}_${modifier}(s${modifier}, ${place});
}
fn lookup_slope${n}(s0: f32, upstream: f32, row: u32, key: u32) -> f32 {
${slopes(count, modifier)}  return slope * clamp(modifyLookupDerivative${n}_${modifier}(s${modifier}, ${place}), -3e38, 3e38);
}`;

/** Four columns of row `i` of a range, zeros behind its last row. */
function rowsWgsl(name: ArrayName, vectors: boolean): string {
  const { width, step } = arrays[name];
  return `${loadWgsl(name, vectors)}
fn ${name}_at(range: Range, base: u32, i: u32, column: u32) -> vec4f {
  if (i >= range.count) { return vec4f(); }
  return load_${name}(base + (range.start + range.step * i) * uniforms.${step}, uniforms.${width}, column);
}`;
}

/** The products of rows of two ranges, those of q scaled first, as `to`, 4 x 4 a lane. */
function products(to: string, own: ArrayName, other: ArrayName): string {
  const { width } = arrays[own];
  const copy = (matrix: string, name: ArrayName, range: string): string =>
    `${matrix}[i * ${PITCH} + j] = ${name === "q" ? "uniforms.scale * " : ""}${name}_at(${range}, ${name}_base, i, start + 4 * j);`;
  return `
    // Set, since variables in a loop were seen to keep their values.
    var ${to} = mat4x4f();
    for (var start = 0u; start < uniforms.${width}; start += ${TILE}) {
      workgroupBarrier();
      for (var at = lane; at < ${TILE * SIDE}; at += ${LANES}) {
        let i = at / ${SIDE};
        let j = at % ${SIDE};
        ${copy("left", own, "own")}
        ${copy("right", other, "other")}
      }
      workgroupBarrier();
      for (var j = 0u; j < ${SIDE} && start + 4 * j < uniforms.${width}; j++) {
        let others = mat4x4f(${[0, 1, 2, 3].map((i) => `right[(column + ${SIDE * i}) * ${PITCH} + j]`).join(", ")});
        for (var i = 0u; i < 4; i++) { ${to}[i] += left[(row + ${SIDE} * i) * ${PITCH} + j] * others; }
      }
    }`;
}

/** Adds the tile's weights times rows of the other side to `sums`, 4 rows a lane. */
function weighted(name: ArrayName, chunks: number): string {
  return `
    for (var i = 0u; i < 4; i++) { weights[(row + ${SIDE} * i) * ${PITCH} + column] = s[i]; }
    for (var chunk = 0u; chunk < ${chunks}; chunk++) {
      workgroupBarrier();
      for (var at = lane; at < ${TILE * SIDE}; at += ${LANES}) {
        right[at] = ${name}_at(other, ${name}_base, at / ${SIDE}, ${TILE} * chunk + 4 * (at % ${SIDE}));
      }
      workgroupBarrier();
      // Weights and rows of positions j, j + ${SIDE} and so on.
      for (var j = 0u; j < min(${SIDE}u, other.count); j++) {
        let others = mat4x4f(${[0, 1, 2, 3].map((i) => `right[(j + ${SIDE * i}) * ${SIDE} + column]`).join(", ")});
        for (var i = 0u; i < 4; i++) {
          sums[chunk][i] += others * weights[(row + ${SIDE} * i) * ${PITCH} + j];
        }
      }
    }`;
}

/** Goes through a lane's pairs: `body` knows `i`, `j`, `is_pair`, and the pair's `query_row` and `key`. */
function eachPair(own: "queries" | "keys", body: string): string {
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

/** Online softmax, https://arxiv.org/abs/1805.02867: scores to exponentials, earlier sums to the greatest score so far. */
function onlineSoftmax({ chunks, dropout }: PassVariant): string {
  return `${eachPair("queries", `s[i][j] = select(${NEVER}, modified(s[i][j], query_row, key), is_pair);`)}
    var top = vec4f(${NEVER});
    for (var i = 0u; i < 4; i++) { top[i] = max(max(s[i].x, s[i].y), max(s[i].z, s[i].w)); }
    tops[lane] = top;
    workgroupBarrier();
    for (var i = 0u; i < ${SIDE}; i++) { top = max(top, tops[row * ${SIDE} + i]); }
    top = max(top, most);
    let shrink = exp(most - top);
    most = top;
    for (var i = 0u; i < 4; i++) {
      s[i] = select(vec4f(), exp(s[i] - top[i]), s[i] > vec4f(0.5 * ${NEVER}));
      total[i] = total[i] * shrink[i] + s[i].x + s[i].y + s[i].z + s[i].w;
      for (var chunk = 0u; chunk < ${chunks}; chunk++) { sums[chunk][i] *= shrink[i]; }
    }${dropout ? eachPair("queries", "s[i][j] *= kept(query_row, key);") : ""}`;
}

/** Goes through the pairs that are allowed: `body` knows the `raw` score, its probability `p`, and the row's numbers. */
function eachProbability(own: "queries" | "keys", body: string): string {
  return eachPair(
    own,
    `let raw = s[i][j];
        s[i][j] = 0.0;
        if (is_pair) {
          let of_row = rows[row_at + query_row];
          let p = exp(min(modified(raw, query_row, key) - of_row.x, 0.0)) * of_row.y;
          ${body}
        }`,
  );
}

/** The gradient of the modified score. */
const slopeOfScore = "let slope = p * (d[i][j] * kept(query_row, key) - of_row.z);";

/** Scores to what dq, dk and dv add up; a derivative may be anything where the probability is 0. */
function backwardWeights(pass: Pass): string {
  const weight =
    pass === "dv"
      ? "s[i][j] = p * kept(query_row, key);"
      : `${slopeOfScore}
          if (p > 0.0) { s[i][j] = uniforms.scale * unmodified(raw, slope, query_row, key); }`;
  return eachProbability(passes[pass].own, weight);
}

/** Adds the gradients of what a tile's pairs look up by function n, each row's by one lane: one after the other. */
const addLookups = (n: number): string => `
    {
    let raw_scores = s;
    var entries = mat4x4f();${eachProbability(
      "queries",
      `${slopeOfScore}
          let entry = lookup_index${n}(raw, query_row, key);
          let is_inside = entry >= 0 && u32(entry) < uniforms.length;
          entries[i][j] = f32(select(-1, entry, is_inside));
          if (p > 0.0) { s[i][j] = lookup_slope${n}(raw, slope, query_row, key); }`,
    )}
    workgroupBarrier();
    for (var i = 0u; i < 4; i++) {
      weights[(row + ${SIDE} * i) * ${PITCH} + column] = s[i];
      left[(row + ${SIDE} * i) * ${PITCH} + column] = entries[i];
    }
    s = raw_scores;
    workgroupBarrier();
    if (lane < own.count) {
      let at = (first_row + own.start + own.step * lane) * uniforms.length;
      for (var others = 0u; others < ${SIDE}; others++) {
        for (var j = 0u; j < 4 && others + ${SIDE} * j < other.count; j++) {
          let entry = left[lane * ${PITCH} + others][j];
          if (entry >= 0.0) { result[at + u32(entry)] += weights[lane * ${PITCH} + others][j]; }
        }
      }
    }
    }`;

/** What a pass does around its tiles and with each of them. */
interface PassCode {
  readonly functions: string;
  /** Goes on from what the earlier parts of a head left. */
  readonly begin: string;
  readonly tile: string;
  readonly end: string;
}

/** Goes through a lane's rows of the result: `body` knows `i`, the number `at` of its row, and where that begins. */
const eachRow = (body: string): string => `for (var i = 0u; i < 4; i++) {
    if (row + ${SIDE} * i >= own.count) { continue; }
    let place = own.start + own.step * (row + ${SIDE} * i);
    let at = first_row + place;
    let begin = result_base + place * result_step;
    ${body}
  }`;

/** A pass that adds up rows of the other side. */
function summing(variant: PassVariant, sums: ArrayName): PassCode {
  const { pass, chunks, vectors, keepsStats } = variant;
  const width = `uniforms.${arrays[sums].width}`;
  const eachChunk = (body: string): string =>
    eachRow(`for (var chunk = 0u; chunk < ${chunks}; chunk++) {
      let from_column = ${TILE} * chunk + 4 * column;
      ${body}
    }`);
  const begin = `var sums = array<mat4x4f, ${chunks}>();
  if (uniforms.resumes != 0) { ${eachChunk(`sums[chunk][i] = load_result(begin, ${width}, from_column);`)} }`;
  const end = eachChunk(`store_result(begin, ${width}, from_column, sums[chunk][i]);`);
  const functions = `${loadWgsl("result", vectors)}${storeWgsl("result", vectors)}`;
  if (pass !== "o")
    return {
      functions,
      begin,
      tile: `${backwardWeights(pass)}${weighted(sums, chunks)}`,
      end,
    };
  return {
    functions,
    begin: `${begin}
  var most = vec4f(${NEVER});
  var total = vec4f();
  ${
    keepsStats
      ? `if (uniforms.resumes != 0) { ${eachRow(`let before = stats[at];
      most[i] = before.x;
      let sum = select(0.0, 1.0 / max(before.y, 1e-30), before.y > 0.0);
      // One lane has all of it: the lanes' parts are added up in the end.
      total[i] = select(0.0, sum, column == 0);
      for (var chunk = 0u; chunk < ${chunks}; chunk++) { sums[chunk][i] *= sum; }`)} }`
      : ""
  }`,
    tile: `${onlineSoftmax(variant)}${weighted(sums, chunks)}`,
    end: `tops[lane] = total;
  workgroupBarrier();
  total = vec4f();
  for (var i = 0u; i < ${SIDE}; i++) { total += tops[row * ${SIDE} + i]; }
  // Where a row sees a key, its greatest score alone gives 1.
  let factors = select(vec4f(), 1.0 / max(total, vec4f(1.0)), total > vec4f());
  ${eachRow(`for (var chunk = 0u; chunk < ${chunks}; chunk++) { sums[chunk][i] *= factors[i]; }
    ${keepsStats ? "if (column == 0) { stats[at] = vec2f(most[i], factors[i]); }" : ""}`)}
  ${end}`,
  };
}

/** What a pass does. */
function passCode(variant: PassVariant): PassCode {
  const { pass, modifiers, table } = variant;
  const { sums } = passes[pass];
  if (sums) {
    const code = summing(variant, sums);
    return passes[pass].slope
      ? { ...code, functions: `${code.functions}${slopeWgsl(modifiers.count)}` }
      : code;
  }
  const { modifier, lookups } = table!;
  return {
    functions: lookups.map((n) => lookupWgsl(modifiers.count, modifier, n)).join(""),
    begin: "",
    tile: lookups.map(addLookups).join(""),
    end: "",
  };
}

/** A pass's buffers. */
function buffersOf({ pass, keepsStats, modifiers, vectors }: PassVariant) {
  const element = vectors ? "vec4f" : "f32";
  const isForward = pass === "o";
  return {
    reads: {
      q: element,
      k: element,
      v: pass === "dv" ? undefined : element,
      dy: isForward ? undefined : element,
      rows: isForward ? undefined : "vec4f",
      plan: "u32",
      values: modifiers.reads ? "f32" : undefined,
    },
    writes: {
      result: pass === "dtable" ? "f32" : element,
      stats: isForward && keepsStats ? "vec2f" : undefined,
    },
  } as const;
}

/** The program of a pass. */
export const passProgram: (variant: PassVariant) => Program<PassBuffer, PassUniform> = programs((variant) => {
  const { pass, chunks, vectors, dropout, modifiers } = variant;
  const { own, score, slope, sums } = passes[pass];
  const used = new Set([...score, ...(slope ?? []), ...(sums ? [sums] : [])]);
  const { functions, begin, tile, end } = passCode(variant);
  const entry = (what: "count" | "ranges" | "lists"): string => `plan[entry + ${ENTRY[own][what]}]`;
  return program({
    name: `attention.f32.${pass}.tile${TILE}x${TILE}.width${TILE * chunks}${vectors ? ".vec4" : ""}`,
    ...buffersOf(variant),
    uniforms: passUniforms(modifiers, dropout),
    code: `
${sharedWgsl(modifiers, dropout)}
${[...used].map((name) => rowsWgsl(name, vectors)).join("\n")}
${functions}

// Rows of ${TILE} columns, as vectors.
var<workgroup> left: array<vec4f, ${TILE * PITCH}>;
var<workgroup> right: array<vec4f, ${TILE * PITCH}>;
var<workgroup> weights: array<vec4f, ${TILE * PITCH}>;
${pass === "o" ? `var<workgroup> tops: array<vec4f, ${LANES}>;` : ""}

@compute @workgroup_size(${LANES})
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) lane: u32) {
  let row = lane / ${SIDE};
  let column = lane % ${SIDE};
  let first_head = group.y * uniforms.headStep + uniforms.firstHead;
  let entry = ${entryOf("group.z", "first_head")};
  if (group.x >= ${entry("count")}) { return; }
  let own = range_at(${entry("ranges")} + 3 * group.x);
  let list = ${entry("lists")} + group.x;
  batch_at = group.z;
  offset_at = i32(plan[entry + ${ENTRY.queryOffset}]);
  let key_head = first_head / uniforms.groupSize;
  let k_base = ${headAt("k", "group.z", "key_head")};
  let v_base = ${headAt("v", "group.z", "key_head")};
  let first_row = ${
    own === "queries"
      ? "(group.z * uniforms.heads + first_head) * uniforms.queries"
      : "(group.z * uniforms.keyHeads + key_head) * uniforms.capacity"
  };
  let result_step = ${pass === "o" ? "uniforms.oRow" : "uniforms.length"};
  let result_base = ${pass === "o" ? headAt("o", "group.z", "first_head") : "first_row * result_step"};
  ${begin}
  for (var member = 0u; member < uniforms.members; member++) {
  head_at = first_head + member;
  row_at = (group.z * uniforms.heads + head_at) * uniforms.queries;
  let q_base = ${headAt("q", "group.z", "head_at")};
  let dy_base = row_at * uniforms.valueWidth;
  let end = plan[list + 1];
  for (var tile = plan[list]; tile < end; tile += 2) {
    let other = range_at(plan[tile]);
    let mask = plan[tile + 1];${products("s", ...score)}${slope ? products("d", ...slope) : ""}${tile}
  }
  }
  ${end}
}`,
  });
});
