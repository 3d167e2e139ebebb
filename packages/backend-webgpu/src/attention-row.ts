/**
 * Attention of few queries, as in decoding: a group has one query of one head, and its lanes share the keys. Each lane
 * scores a key at a time, then adds up four columns of some keys' values.
 */
import type { ModifierCode } from "./attention-modifiers.ts";
import { TILE } from "./attention-masks.ts";
import { ENTRY } from "./attention-plan.ts";
import {
  entryOf,
  joinWgsl,
  loadWgsl,
  NEVER,
  sharedWgsl,
  storeWgsl,
  passUniforms,
  VECTORS,
} from "./attention-wgsl.ts";
import type { PassBuffer, PassUniform } from "./attention-wgsl.ts";
import { headAt } from "./heads-in-place.ts";
import { program, programs } from "./program.ts";
import type { Program } from "./program.ts";

/** What differs in code. */
export interface RowVariant {
  readonly vectors: boolean;
  readonly dropout: boolean;
  /** Whether a head has several parts, which go on from what the earlier ones left. */
  readonly keepsStats: boolean;
  readonly modifiers: ModifierCode;
}

/** Lanes of a group. */
const LANES = 256;

/** The forward pass, a query a group. */
export const rowProgram: (variant: RowVariant) => Program<PassBuffer, PassUniform> = programs(
  ({ vectors, dropout, keepsStats, modifiers }) => {
    const element = vectors ? "vec4f" : "f32";
    return program({
      name: `attention.f32.row${vectors ? ".vec4" : ""}`,
      reads: {
        q: element,
        k: element,
        v: element,
        dy: undefined,
        rows: undefined,
        plan: "u32",
        values: modifiers.reads ? "f32" : undefined,
      },
      writes: { result: element, stats: keepsStats ? "vec2f" : undefined },
      uniforms: passUniforms(modifiers, dropout),
      code: `
${sharedWgsl(modifiers, dropout)}
${["q", "k", "v", "result"].map((name) => loadWgsl(name, vectors)).join("\n")}
${storeWgsl("result", vectors)}
${joinWgsl(LANES)}

var<workgroup> query: array<vec4f, ${VECTORS}>;
// Of the keys at hand, where the rows of v begin, and their weights.
var<workgroup> key_rows: array<u32, ${LANES}>;
var<workgroup> weights: array<f32, ${LANES}>;
var<workgroup> sums: array<vec4f, ${LANES}>;

@compute @workgroup_size(${LANES})
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) lane: u32) {
  let entry = ${entryOf("group.z", "group.y")};
  let number = group.x / uniforms.queries;
  let i_query = group.x % uniforms.queries;
  if (number >= plan[entry + ${ENTRY.queries.count}]) { return; }
  let own = range_at(plan[entry + ${ENTRY.queries.ranges}] + 3 * number);
  if (i_query >= own.count) { return; }
  let query_row = own.start + own.step * i_query;
  batch_at = group.z;
  head_at = group.y;
  offset_at = i32(plan[entry + ${ENTRY.queryOffset}]);
  row_at = (group.z * uniforms.heads + group.y) * uniforms.queries;
  let at = (group.z * uniforms.heads + group.y) * uniforms.queries + query_row;
  let key_head = group.y / uniforms.groupSize;
  let q_begin = ${headAt("q", "group.z", "group.y")} + query_row * uniforms.qRow;
  let k_base = ${headAt("k", "group.z", "key_head")};
  let v_base = ${headAt("v", "group.z", "key_head")};
  let o_begin = ${headAt("o", "group.z", "group.y")} + query_row * uniforms.oRow;
  // Every lane has four columns of values, of one key in so many.
  let columns = (uniforms.valueWidth + 3) / 4;
  let steps = ${LANES} / columns;
  let column = 4 * (lane % columns);
  let step = lane / columns;
  if (lane < ${VECTORS}) { query[lane] = uniforms.scale * load_q(q_begin, uniforms.width, 4 * lane); }
  var most = ${NEVER};
  var total = 0.0;
  var sum = vec4f();
  ${
    keepsStats
      ? `if (uniforms.resumes != 0) {
    let before = stats[at];
    most = before.x;
    let total_before = select(0.0, 1.0 / max(before.y, 1e-30), before.y > 0.0);
    if (lane == 0) { total = total_before; }
    if (step == 0) { sum = total_before * load_result(o_begin, uniforms.valueWidth, column); }
  }`
      : ""
  }
  workgroupBarrier();
  let list = plan[entry + ${ENTRY.queries.lists}] + number;
  let end = plan[list + 1];
  for (var first = plan[list]; first < end; first += ${(2 * LANES) / TILE}) {
    let tile = first + 2 * (lane / ${TILE});
    let i_key = lane % ${TILE};
    var score = ${NEVER};
    var key = 0u;
    if (tile < end) {
      let keys = range_at(plan[tile]);
      if (i_key < keys.count && is_allowed(plan[tile + 1], i_query, i_key)) {
        key = keys.start + keys.step * i_key;
        score = 0.0;
        for (var j = 0u; 4 * j < uniforms.width; j++) {
          score += dot(query[j], load_k(k_base + key * uniforms.kRow, uniforms.width, 4 * j));
        }
        score = modified(score, query_row, key);
      }
    }
    let top = max(most, joined_max(lane, score));
    let shrink = exp(most - top);
    most = top;
    let p = select(0.0, exp(score - top), score > 0.5 * ${NEVER});
    total = total * shrink + p;
    key_rows[lane] = v_base + key * uniforms.vRow;
    weights[lane] = p * kept(query_row, key);
    workgroupBarrier();
    sum *= shrink;
    // Those behind the last tile weigh nothing.
    let count = min(${LANES}u, (end - first) / 2 * ${TILE});
    for (var i = step; i < select(0, count, step < steps); i += steps) {
      if (weights[i] > 0.0) { sum += weights[i] * load_v(key_rows[i], uniforms.valueWidth, column); }
    }
    workgroupBarrier();
  }
  sums[lane] = sum;
  let joined = joined_sum(lane, total);
  let factor = select(0.0, 1.0 / max(joined, 1.0), joined > 0.0);
  if (step > 0) { return; }
  for (var i = 1u; i < steps; i++) { sum += sums[i * columns + lane]; }
  store_result(o_begin, uniforms.valueWidth, column, factor * sum);
  ${keepsStats ? "if (lane == 0) { stats[at] = vec2f(most, factor); }" : ""}
}`,
    });
  },
);
