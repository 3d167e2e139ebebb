/**
 * The passes of attention over the tiles of a plan, https://arxiv.org/abs/2205.14135: forward, and the gradients of q,
 * k and v, for which the probabilities of a tile are made again. A group has a range of queries (or of keys, for dk and
 * dv) of one head as its own, and goes through the tiles that it has with the other side's ranges.
 *
 * The tile's 32 x 32 scores are 4 x 4 to a lane: rows i are its own positions (row + 8 i), columns j those of the other
 * side (column + 8 j). A column of a `mat4x4f` is a row's vector, so that products of matrices do 64 steps at once.
 */
import { ENTRY, NO_MASK, TILE } from "./attention-plan.ts";
import type { ModifierCode } from "./attention-modifiers.ts";
import { program, programs } from "./program.ts";
import { dropoutKey, dropoutUniforms, dropoutWgsl } from "./random.ts";

/** What a pass gives: the output, or the gradient of an input. */
export type Pass = "o" | "dq" | "dk" | "dv";

/** What differs in code. */
export interface PassVariant {
  readonly pass: Pass;
  /** Vectors of 4 columns to a lane, in steps of 32 columns: 1, 2, 4 or 8. */
  readonly chunks: number;
  /** Whether 4 divides both widths. */
  readonly vectors: boolean;
  readonly dropout: boolean;
  /** Whether the forward pass keeps the greatest score and 1 / the sum of exponentials of each row. */
  readonly keepsStats: boolean;
  readonly modifiers: ModifierCode;
}

/** Lanes of a group: 8 rows of 8. */
const [SIDE, LANES] = [8, 64];

/** Vectors from one row of a matrix in a group's memory to the next: one more than needed, against bank conflicts. */
const PITCH = SIDE + 1;

/** Whose rows an array has, and how wide they are. */
const arrays = {
  q: { of: "queries", base: "query_base", width: "width" },
  dy: { of: "queries", base: "query_base", width: "valueWidth" },
  k: { of: "keys", base: "key_base", width: "width" },
  v: { of: "keys", base: "key_base", width: "valueWidth" },
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
  readonly sums: ArrayName;
}

const passes: Readonly<Record<Pass, PassParts>> = {
  o: { own: "queries", score: ["q", "k"], sums: "v" },
  dq: { own: "queries", score: ["q", "k"], slope: ["dy", "v"], sums: "k" },
  dk: { own: "keys", score: ["k", "q"], slope: ["v", "dy"], sums: "q" },
  dv: { own: "keys", score: ["k", "q"], sums: "dy" },
};

/** Below every score, and finite. */
export const NEVER = "-1e30";

/** Arguments of emitted functions behind the score, for a `row` of the call and a `key`. */
const place =
  "offset_at + i32(row), i32(key), i32(row), i32(head_at), offset_at + i32(uniforms.queries), i32(uniforms.keys)";

/** Scores after each of the first `count` modifiers, as `s0` to `s<count>`; each within bounds, as in the reference. */
function stages(count: number): string {
  return Array.from(
    { length: count },
    (_, n) => `  let s${n + 1} = clamp(modify_${n}(s${n}, ${place}), -1e29, 1e29);\n`,
  ).join("");
}

/** Ranges, modifiers and dropout: what all programs of attention have. */
export function sharedWgsl(modifiers: ModifierCode, dropout: boolean): string {
  const { count, wgsl } = modifiers;
  return `
struct Range { start: u32, step: u32, count: u32 }
fn range_at(at: u32) -> Range { return Range(plan[at], plan[at + 1], plan[at + 2]); }

// The batch row and head at hand, its first query's position, and the number of its first row in q.
var<private> batch_at: u32;
var<private> head_at: u32;
var<private> offset_at: i32;
var<private> row_at: u32;

fn is_allowed(mask: u32, query: u32, key: u32) -> bool {
  if (mask == ${NO_MASK}u) { return true; }
  return ((plan[uniforms.masks + mask * ${TILE} + query] >> key) & 1u) == 1u;
}
${wgsl}
fn modified(s0: f32, row: u32, key: u32) -> f32 {
${stages(count)}  return s${count};
}
${
  dropout
    ? `${dropoutWgsl}
fn kept(row: u32, key: u32) -> f32 {
  return dropout_factor(random_word(${dropoutKey}, random_number(row_at + row, uniforms.keys, key)));
}`
    : "fn kept(row: u32, key: u32) -> f32 { return 1.0; }"
}`;
}

/** From the gradient of a modified score to that of the score before any modifier. */
function slopeWgsl(count: number): string {
  const back = Array.from(
    { length: count },
    (_, n) => `  slope *= clamp(modifyScoreDerivative_${n}(s${n}, ${place}), -3e38, 3e38);\n`,
  ).toReversed();
  return `
fn unmodified(s0: f32, upstream: f32, row: u32, key: u32) -> f32 {
  var slope = upstream;
${stages(count - 1)}${back.join("")}  return slope;
}`;
}

/** Four columns of a row, zeros behind the last. */
export function loadWgsl(name: string, vectors: boolean): string {
  const scalars = `var value = vec4f();
  for (var i = 0u; i < min(width - column, 4u); i++) { value[i] = ${name}[at + i]; }
  return value;`;
  return `
fn load_${name}(row: u32, width: u32, column: u32) -> vec4f {
  if (column >= width) { return vec4f(); }
  let at = row * width + column;
  ${vectors ? `return ${name}[at / 4];` : scalars}
}`;
}

function storeWgsl(name: string, vectors: boolean): string {
  const scalars = `for (var i = 0u; i < min(width - column, 4u); i++) { ${name}[at + i] = value[i]; }`;
  return `
fn store_${name}(row: u32, width: u32, column: u32, value: vec4f) {
  if (column >= width) { return; }
  let at = row * width + column;
  ${vectors ? `${name}[at / 4] = value;` : scalars}
}`;
}

/** Four columns of row `i` of a range, zeros behind its last row. */
function rowsWgsl(name: ArrayName, vectors: boolean): string {
  return `${loadWgsl(name, vectors)}
fn ${name}_at(range: Range, base: u32, i: u32, column: u32) -> vec4f {
  if (i >= range.count) { return vec4f(); }
  return load_${name}(base + range.start + range.step * i, uniforms.${arrays[name].width}, column);
}`;
}

/** Four vectors of rows that are 8 apart, as a matrix. */
function fourRows(matrix: string, row: string, pitch: number, at: string): string {
  return `mat4x4f(${[0, 1, 2, 3].map((i) => `${matrix}[(${row} + ${SIDE * i}) * ${pitch} + ${at}]`).join(", ")})`;
}

/** The products of rows of two ranges, those of q scaled first, as `to`, 4 x 4 a lane. */
function products(to: string, own: ArrayName, other: ArrayName): string {
  const { width, base } = arrays[own];
  const copy = (matrix: string, name: ArrayName, range: string, firstRow: string): string =>
    `${matrix}[i * ${PITCH} + j] = ${name === "q" ? "uniforms.scale * " : ""}${name}_at(${range}, ${firstRow}, i, start + 4 * j);`;
  return `
    // Set, since variables in a loop were seen to keep their values.
    var ${to} = mat4x4f();
    for (var start = 0u; start < uniforms.${width}; start += ${TILE}) {
      workgroupBarrier();
      for (var at = lane; at < ${TILE * SIDE}; at += ${LANES}) {
        let i = at / ${SIDE};
        let j = at % ${SIDE};
        ${copy("left", own, "own", base)}
        ${copy("right", other, "other", arrays[other].base)}
      }
      workgroupBarrier();
      for (var j = 0u; j < ${SIDE} && start + 4 * j < uniforms.${width}; j++) {
        ${to} += transpose(${fourRows("right", "column", PITCH, "j")}) * ${fourRows("left", "row", PITCH, "j")};
      }
    }`;
}

/** Adds the tile's weights times rows of the other side to `sums`, 4 rows a lane. */
function weighted(name: ArrayName, chunks: number): string {
  const { width, base } = arrays[name];
  return `
    for (var i = 0u; i < 4; i++) { weights[(row + ${SIDE} * i) * ${PITCH} + column] = s[i]; }
    for (var chunk = 0u; chunk < ${chunks} && ${TILE} * chunk < uniforms.${width}; chunk++) {
      workgroupBarrier();
      for (var at = lane; at < ${TILE * SIDE}; at += ${LANES}) {
        right[at] = ${name}_at(other, ${base}, at / ${SIDE}, ${TILE} * chunk + 4 * (at % ${SIDE}));
      }
      workgroupBarrier();
      // Weights and rows of positions j, j + ${SIDE} and so on.
      for (var j = 0u; j < min(${SIDE}u, other.count); j++) {
        sums[chunk] += ${fourRows("right", "j", SIDE, "column")} * ${fourRows("weights", "row", PITCH, "j")};
      }
    }`;
}

/** Goes through a lane's pairs: `body` knows `i`, `j`, `is_pair`, and the `row` and `key` of the pair in the call. */
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

/** Scores to what the pass adds up: probabilities, or the gradients of the raw scores. */
function backwardWeights({ pass }: PassVariant): string {
  const { own } = passes[pass];
  const probability = `
        let raw = s[i][j];
        s[i][j] = 0.0;
        if (is_pair) {
          let of_row = rows[row_at + query_row];
          let p = exp(min(modified(raw, query_row, key) - of_row.x, 0.0)) * of_row.y;`;
  const weight =
    pass === "dv"
      ? "s[i][j] = p * kept(query_row, key);"
      : `let slope = p * (d[i][j] * kept(query_row, key) - of_row.z);
          // A derivative may be anything where the probability is 0.
          if (p > 0.0) { s[i][j] = uniforms.scale * unmodified(raw, slope, query_row, key); }`;
  return eachPair(own, `${probability}\n          ${weight}\n        }`);
}

/** Names of a pass's buffers. */
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
    writes: { result: element, stats: isForward && keepsStats ? "f32" : undefined },
  } as const;
}

/** A program of a pass. */
export const passProgram = programs((variant: PassVariant) => {
  const { pass, chunks, vectors, dropout, keepsStats, modifiers } = variant;
  const { own, score, slope, sums } = passes[pass];
  const isForward = pass === "o";
  const used = [...new Set<ArrayName>([...score, ...(slope ?? []), sums])];
  const [width, base] = [`uniforms.${arrays[sums].width}`, own === "queries" ? "query_base" : "key_base"];
  const entry = (of: "queries" | "keys", what: "count" | "ranges" | "lists"): string =>
    `plan[entry + ${ENTRY[of][what]}]`;
  // Parts of a head go on from what the earlier ones left.
  const resume = isForward
    ? keepsStats
      ? `
      let factor = stats[2 * (first_row + at) + 1];
      if (factor == 0.0) { continue; }
      let before = 1.0 / factor;
      most[i] = stats[2 * (first_row + at)];
      if (column == 0) { total[i] = before; }`
      : ""
    : "";
  const finish = isForward
    ? `
  tops[lane] = total;
  workgroupBarrier();
  total = vec4f();
  for (var i = 0u; i < ${SIDE}; i++) { total += tops[row * ${SIDE} + i]; }
  let factors = select(vec4f(), 1.0 / total, total > vec4f());`
    : "";
  return program({
    name: `attention.f32.${pass}.tile${TILE}x${TILE}.width${TILE * chunks}${vectors ? ".vec4" : ""}`,
    ...buffersOf(variant),
    uniforms: {
      ...passUniforms,
      ...(dropout && dropoutUniforms),
      ...modifiers.uniforms,
    } as typeof passUniforms,
    code: `
${sharedWgsl(modifiers, dropout)}
${slope ? slopeWgsl(modifiers.count) : ""}
${used.map((name) => rowsWgsl(name, vectors)).join("\n")}
${loadWgsl("result", vectors)}
${storeWgsl("result", vectors)}

// Rows of ${TILE} columns, as vectors.
var<workgroup> left: array<vec4f, ${TILE * PITCH}>;
var<workgroup> right: array<vec4f, ${TILE * PITCH}>;
var<workgroup> weights: array<vec4f, ${TILE * PITCH}>;
${isForward ? `var<workgroup> tops: array<vec4f, ${LANES}>;` : ""}

@compute @workgroup_size(${LANES})
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) lane: u32) {
  let row = lane / ${SIDE};
  let column = lane % ${SIDE};
  let first_head = group.y * uniforms.headStep + uniforms.firstHead;
  let entry = ((group.z * uniforms.planBatch + first_head * uniforms.planHead) * uniforms.parts + uniforms.part) * ${ENTRY.words};
  if (group.x >= ${entry(own, "count")}) { return; }
  let own = range_at(${entry(own, "ranges")} + 3 * group.x);
  let list = ${entry(own, "lists")} + group.x;
  batch_at = group.z;
  offset_at = i32(plan[entry + ${ENTRY.queryOffset}]);
  let key_base = (group.z * uniforms.keyHeads + first_head / uniforms.groupSize) * uniforms.capacity;
  let first_row = ${own === "queries" ? "(group.z * uniforms.heads + first_head) * uniforms.queries" : "key_base"};
  var sums: array<mat4x4f, ${chunks}>;
  ${isForward ? `var most = vec4f(${NEVER});\n  var total = vec4f();` : ""}
  ${
    isForward && !keepsStats
      ? ""
      : `if (uniforms.resumes != 0) {
    for (var i = 0u; i < 4; i++) {
      if (row + ${SIDE} * i >= own.count) { continue; }
      let at = own.start + own.step * (row + ${SIDE} * i);
      ${resume}
      for (var chunk = 0u; chunk < ${chunks}; chunk++) {
        sums[chunk][i] = ${isForward ? "before * " : ""}load_result(first_row + at, ${width}, ${TILE} * chunk + 4 * column);
      }
    }
  }`
  }
  for (var member = 0u; member < uniforms.members; member++) {
  head_at = first_head + member;
  let query_base = (group.z * uniforms.heads + first_head + member) * uniforms.queries;
  row_at = query_base;
  let end = plan[list + 1];
  for (var tile = plan[list]; tile < end; tile += 2) {
    let other = range_at(plan[tile]);
    let mask = plan[tile + 1];${products("s", ...score)}${
      slope ? products("d", ...slope) : ""
    }${isForward ? onlineSoftmax(variant) : backwardWeights(variant)}${weighted(sums, chunks)}
  }
  }
  ${finish}
  for (var i = 0u; i < 4; i++) {
    if (row + ${SIDE} * i >= own.count) { continue; }
    let at = own.start + own.step * (row + ${SIDE} * i);
    for (var chunk = 0u; chunk < ${chunks}; chunk++) {
      store_result(first_row + at, ${width}, ${TILE} * chunk + 4 * column, ${isForward ? "factors[i] * " : ""}sums[chunk][i]);
    }
    ${
      isForward && keepsStats
        ? "if (column == 0) { stats[2 * (first_row + at)] = most[i]; stats[2 * (first_row + at) + 1] = factors[i]; }"
        : ""
    }
  }
}`,
  });
});

/** Numbers of every program of attention. */
export const passUniforms = {
  width: "u32",
  valueWidth: "u32",
  queries: "u32",
  keys: "u32",
  capacity: "u32",
  heads: "u32",
  keyHeads: "u32",
  groupSize: "u32",
  headStep: "u32",
  firstHead: "u32",
  members: "u32",
  planBatch: "u32",
  planHead: "u32",
  masks: "u32",
  parts: "u32",
  part: "u32",
  resumes: "u32",
  scale: "f32",
} as const;
