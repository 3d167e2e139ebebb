/** What all programs of attention have in WGSL: the plan, modifiers, dropout, rows in memory. */
import { TILE } from "./attention-masks.ts";
import type { ModifierCode } from "./attention-modifiers.ts";
import { ENTRY, NO_MASK } from "./attention-plan.ts";
import { placeTypes } from "./heads-in-place.ts";
import type { PlaceUniform } from "./heads-in-place.ts";
import { dropoutKey, dropoutUniforms, dropoutWgsl } from "./random.ts";

/** Buffers of every pass of attention. */
export type PassBuffer = "q" | "k" | "v" | "dy" | "rows" | "plan" | "values" | "result" | "stats";

const counts = [
  "width",
  "valueWidth",
  "queries",
  "keys",
  "capacity",
  "heads",
  "keyHeads",
  "groupSize",
  "planBatch",
  "planHead",
  "masks",
  "parts",
] as const;

/** Numbers of a call. */
export type CallUniform = (typeof counts)[number] | "scale" | PlaceUniform<"q" | "k" | "v">;

/** Those of a pass over a part of it, whose result has rows of a `length`. */
const passCounts = ["headStep", "firstHead", "members", "part", "resumes", "length"] as const;

export type PassUniform = CallUniform | (typeof passCounts)[number] | PlaceUniform<"o">;

type Types<N extends string> = Readonly<Record<N, "u32" | "f32">>;

const integers = <N extends string>(names: readonly N[]): Record<N, "u32"> =>
  Object.fromEntries(names.map((name) => [name, "u32"])) as Record<N, "u32">;

/** Types of a call's numbers, with those that modifiers read. */
export function callUniforms({ uniforms }: ModifierCode): Types<CallUniform> {
  return {
    ...integers(counts),
    scale: "f32",
    ...placeTypes("q"),
    ...placeTypes("k"),
    ...placeTypes("v"),
    ...uniforms,
  };
}

/** The same of a pass, with those that dropout reads. */
export function passUniforms(modifiers: ModifierCode, dropout: boolean): Types<PassUniform> {
  return {
    ...callUniforms(modifiers),
    ...integers(passCounts),
    ...placeTypes("o"),
    ...(dropout && dropoutUniforms),
  };
}

/** Vectors of the widest head. */
export const VECTORS = 64;

/** The score of a pair that is not allowed: finite, and below every other. */
export const NEVER = "-1e30";

/** What stands for -Infinity as a score, and what for Infinity and NaN: a row's greatest score tells if it has a result. */
const [LOWEST, NONE] = ["-5e29", "3.4e38"];

/**
 * `factor_of`: what a row's sums are multiplied by, 0 where it sees nothing. Where a score was infinite or NaN, or all
 * were -Infinity, it is NaN as in the reference, made of bits: no number here ever is.
 */
export const factorWgsl: string = `
fn factor_of(most: f32, total: f32) -> f32 {
  // The greatest score alone gives 1.
  let factor = select(0.0, 1.0 / max(total, 1.0), most > ${NEVER});
  let is_number = most <= ${NEVER} || (most > ${LOWEST} && most < ${NONE});
  return bitcast<f32>(bitcast<u32>(factor) | select(0x7fc00000u, 0u, is_number));
}`;

/** In WGSL, whether a row that has this greatest score left sums to go on from. */
export const isBegun = (most: string): string => `${most} > ${LOWEST}`;

/** In WGSL, the address of the entry of a head's part in the plan. */
export const entryOf = (batch: string, head: string, part = "uniforms.part"): string =>
  `((${batch} * uniforms.planBatch + ${head} * uniforms.planHead) * uniforms.parts + ${part}) * ${ENTRY.words}`;

/** Arguments of emitted functions behind the score, for a `row` of the call and a `key`. */
export const place =
  "offset_at + i32(row), i32(key), i32(row), i32(head_at), offset_at + i32(uniforms.queries), i32(uniforms.keys)";

/** Scores after each of the first `count` modifiers, as `s0` to `s<count>`; each within bounds, as in the reference. */
export function stages(count: number): string {
  return Array.from(
    { length: count },
    (_, n) => `  let s${n + 1} = bounded(s${n}, modify_${n}(s${n}, ${place}));\n`,
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
// By its bits: comparisons with NaN may be left out, and exp, min and max may make a number of it.
fn is_nan(x: f32) -> bool { return (bitcast<u32>(x) & 0x7fffffff) > 0x7f800000; }
// Whether a weight is anything but 0, NaN included.
fn weighs(weight: f32) -> bool { return (bitcast<u32>(weight) & 0x7fffffff) != 0; }
${
  count > 0
    ? `fn bounded(score: f32, changed: f32) -> f32 {
  if (is_nan(score)) { return score; }
  return select(clamp(changed, -1e29, 1e29), changed, is_nan(changed));
}`
    : ""
}
// The score after all modifiers, finite whatever it is made of.
fn modified(s0: f32, row: u32, key: u32) -> f32 {
${stages(count)}  let is_none = is_nan(s${count}) || bitcast<u32>(s${count}) == 0x7f800000;
  return select(max(s${count}, ${LOWEST}), ${NONE}, is_none);
}
${factorWgsl}
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

/** `joined_max` and `joined_sum` of a value of each of a group's lanes, the same for all of them. */
export function joinWgsl(lanes: number): string {
  const some = Math.sqrt(lanes);
  const joined = (name: string, join: (a: string, b: string) => string): string => `
fn ${name}(lane: u32, value: f32) -> f32 {
  shared_values[lane] = value;
  workgroupBarrier();
  if (lane < ${some}) {
    var of_some = value;
    for (var i = lane + ${some}; i < ${lanes}; i += ${some}) { of_some = ${join("of_some", "shared_values[i]")}; }
    joined_values[lane] = of_some;
  }
  workgroupBarrier();
  var joined = joined_values[0];
  for (var i = 1u; i < ${some}; i++) { joined = ${join("joined", "joined_values[i]")}; }
  return joined;
}`;
  return `
var<workgroup> shared_values: array<f32, ${lanes}>;
var<workgroup> joined_values: array<f32, ${some}>;
${joined("joined_max", (a, b) => `max(${a}, ${b})`)}
${joined("joined_sum", (a, b) => `${a} + ${b}`)}`;
}

/** `range_of`: the number of the range of queries that a row is in, beyond the last where a head has none of a part. */
export const rangeOfWgsl: string = `
fn range_of(entry: u32, row: u32) -> u32 {
  let count = plan[entry + ${ENTRY.queries.count}];
  for (var number = 0u; number < count; number++) {
    let own = range_at(plan[entry + ${ENTRY.queries.ranges}] + 3 * number);
    let steps = (row - own.start) / own.step;
    if (row >= own.start && steps < own.count && own.start + steps * own.step == row) { return number; }
  }
  return count;
}`;
