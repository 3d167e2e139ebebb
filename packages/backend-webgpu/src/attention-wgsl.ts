/** What all programs of attention have in WGSL: the plan, modifiers, dropout, rows in memory. */
import { TILE } from "./attention-masks.ts";
import type { ModifierCode } from "./attention-modifiers.ts";
import { ENTRY, NO_MASK } from "./attention-plan.ts";
import { dropoutKey, dropoutUniforms, dropoutWgsl } from "./random.ts";

/** Buffers of every program of attention. */
export type PassBuffer = "q" | "k" | "v" | "dy" | "rows" | "plan" | "values" | "result" | "stats";

/** Numbers of every program of attention. */
const passUniforms = {
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
  /** Of a row of the result. */
  length: "u32",
  // Where heads lie: the first value, and how many it is from one batch row, head and row to the next.
  qBegin: "u32",
  qBatch: "u32",
  qHead: "u32",
  qRow: "u32",
  kBegin: "u32",
  kBatch: "u32",
  kHead: "u32",
  kRow: "u32",
  vBegin: "u32",
  vBatch: "u32",
  vHead: "u32",
  vRow: "u32",
  oBegin: "u32",
  oBatch: "u32",
  oHead: "u32",
  oRow: "u32",
} as const;

export type PassUniform = keyof typeof passUniforms;

/** The same with those that modifiers and dropout read. */
export function uniformsOf(modifiers: ModifierCode, dropout: boolean): typeof passUniforms {
  return { ...passUniforms, ...(dropout && dropoutUniforms), ...modifiers.uniforms };
}

/** Below every score, and finite. */
export const NEVER = "-1e30";

/** In WGSL, the first value of a head of q, k, v or o, which may lie side by side in rows. */
export const baseOf = (name: "q" | "k" | "v" | "o", batch: string, head: string): string =>
  `uniforms.${name}Begin + ${batch} * uniforms.${name}Batch + ${head} * uniforms.${name}Head`;

/** In WGSL, the address of a head's entry in the plan. */
export const entryOf = (batch: string, head: string): string =>
  `((${batch} * uniforms.planBatch + ${head} * uniforms.planHead) * uniforms.parts + uniforms.part) * ${ENTRY.words}`;

/** Arguments of emitted functions behind the score, for a `row` of the call and a `key`. */
export const place =
  "offset_at + i32(row), i32(key), i32(row), i32(head_at), offset_at + i32(uniforms.queries), i32(uniforms.keys)";

/** Scores after each of the first `count` modifiers, as `s0` to `s<count>`; each within bounds, as in the reference. */
export function stages(count: number): string {
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

/** Four columns of the row that begins at a value, zeros behind the last. */
export function loadWgsl(name: string, vectors: boolean): string {
  const scalars = `var value = vec4f();
  for (var i = 0u; i < min(width - column, 4u); i++) { value[i] = ${name}[at + i]; }
  return value;`;
  return `
fn load_${name}(begin: u32, width: u32, column: u32) -> vec4f {
  if (column >= width) { return vec4f(); }
  let at = begin + column;
  ${vectors ? `return ${name}[at / 4];` : scalars}
}`;
}

export function storeWgsl(name: string, vectors: boolean): string {
  const scalars = `for (var i = 0u; i < min(width - column, 4u); i++) { ${name}[at + i] = value[i]; }`;
  return `
fn store_${name}(begin: u32, width: u32, column: u32, value: vec4f) {
  if (column >= width) { return; }
  let at = begin + column;
  ${vectors ? `${name}[at / 4] = value;` : scalars}
}`;
}
