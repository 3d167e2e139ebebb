/**
 * Attention of few queries, as in decoding: a group has one query of one head, and its lanes share the keys. Each lane
 * scores a key at a time, then adds up four columns of some keys' values. Where a head has several parts, or there are
 * too few queries for their many keys, several groups share a query, and one more program joins what they have.
 */
import { maskShapeOf } from "@heddle/attention";
import type { AttentionCall } from "@heddle/attention";
import * as tf from "@tensorflow/tfjs-core";
import type { Tensor } from "@tensorflow/tfjs-core";
import type { ModifierCode } from "./attention-modifiers.ts";
import { TILE } from "./attention-masks.ts";
import { ENTRY, planOfFew } from "./attention-plan.ts";
import type { AttentionPlan } from "./attention-plan.ts";
import { boundPlaceOf, headShares } from "./attention-shares.ts";
import { valuesOf } from "./attention-task.ts";
import {
  callUniforms,
  entryOf,
  factorWgsl,
  joinWgsl,
  loadWgsl,
  NEVER,
  rangeOfWgsl,
  sharedWgsl,
  storeWgsl,
  VECTORS,
} from "./attention-wgsl.ts";
import type { CallUniform } from "./attention-wgsl.ts";
import { areVectors, headAt, placeTypes, placeUniforms } from "./heads-in-place.ts";
import type { PlaceUniform } from "./heads-in-place.ts";
import { eachGroups, eachIndex, program, programs } from "./program.ts";
import { output, run } from "./run.ts";
import { dropoutUniforms, dropoutValues } from "./random.ts";

/** What differs in code. */
interface RowVariant {
  readonly vectors: boolean;
  readonly dropout: boolean;
  /** Whether several groups have a query: each leaves the sums of its own keys. */
  readonly shared: boolean;
  readonly modifiers: ModifierCode;
}

type RowUniform = CallUniform | PlaceUniform<"o"> | "firstRow" | "shares" | "splits";

/** Types of a run's numbers: groups of a query are as many splits of the keys of each part. */
function rowUniforms(modifiers: ModifierCode, dropout: boolean): Readonly<Record<RowUniform, "u32" | "f32">> {
  return {
    ...callUniforms(modifiers),
    ...placeTypes("o"),
    firstRow: "u32",
    shares: "u32",
    splits: "u32",
    ...(dropout && dropoutUniforms),
  };
}

/** Lanes of a group, and words of the tiles whose keys they take at a time. */
const LANES = 256;
const WORDS = (2 * LANES) / TILE;

/** A query a group, or a share of its keys. */
const rowProgram = programs(({ vectors, dropout, shared, modifiers }: RowVariant) => {
  const element = vectors ? "vec4f" : "f32";
  return program({
    name: `attention.f32.row${shared ? ".shared" : ""}${vectors ? ".vec4" : ""}`,
    reads: {
      q: element,
      k: element,
      v: element,
      plan: "u32",
      values: modifiers.reads ? "f32" : undefined,
    },
    writes: { result: element, stats: shared ? "vec2f" : undefined },
    uniforms: rowUniforms(modifiers, dropout),
    code: `
${sharedWgsl(modifiers, dropout)}
${["q", "k", "v"].map((name) => loadWgsl(name, vectors)).join("\n")}
${storeWgsl("result", vectors)}
${joinWgsl(LANES)}
${rangeOfWgsl}

var<workgroup> query: array<vec4f, ${VECTORS}>;
// Of the keys at hand, where the rows of v begin, and their weights.
var<workgroup> key_rows: array<u32, ${LANES}>;
var<workgroup> weights: array<f32, ${LANES}>;
var<workgroup> sums: array<vec4f, ${LANES}>;

@compute @workgroup_size(${LANES})
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) lane: u32) {
  let query_row = group.x / uniforms.shares;
  let share = group.x % uniforms.shares;
  let entry = ${entryOf("group.z", "group.y", "share / uniforms.splits")};
  let planned_row = uniforms.firstRow + query_row;
  let number = range_of(entry, planned_row);
  let is_planned = number < plan[entry + ${ENTRY.queries.count}];
  let own = range_at(plan[entry + ${ENTRY.queries.ranges}] + 3 * number);
  let i_query = (planned_row - own.start) / own.step;
  batch_at = group.z;
  head_at = group.y;
  offset_at = i32(plan[${entryOf("group.z", "group.y", "0")} + ${ENTRY.queryOffset}] + uniforms.firstRow);
  row_at = (group.z * uniforms.heads + group.y) * uniforms.queries;
  let key_head = group.y / uniforms.groupSize;
  let q_begin = ${headAt("q", "group.z", "group.y")} + query_row * uniforms.qRow;
  let k_base = ${headAt("k", "group.z", "key_head")};
  let v_base = ${headAt("v", "group.z", "key_head")};
  // Every lane has four columns of values, of one key in so many.
  let columns = (uniforms.valueWidth + 3) / 4;
  let steps = ${LANES} / columns;
  let column = 4 * (lane % columns);
  let step = lane / columns;
  if (lane < ${VECTORS}) { query[lane] = uniforms.scale * load_q(q_begin, uniforms.width, 4 * lane); }
  var most = ${NEVER};
  var total = 0.0;
  var sum = vec4f();
  workgroupBarrier();
  let list = plan[entry + ${ENTRY.queries.lists}] + number;
  // None of a part that the head has not.
  let list_begin = select(0, plan[list], is_planned);
  let list_end = select(0, plan[list + 1], is_planned);
  // Words of a share's tiles: as many as the lanes take at a time, some times.
  let each = (list_end - list_begin + uniforms.splits * ${WORDS} - 1) / (uniforms.splits * ${WORDS}) * ${WORDS};
  let begin = min(list_begin + share % uniforms.splits * each, list_end);
  let end = min(begin + each, list_end);
  for (var first = begin; first < end; first += ${WORDS}) {
    let tile = first + 2 * (lane / ${TILE});
    let i_key = lane % ${TILE};
    var score = ${NEVER};
    var key = 0u;
    if (tile < end) {
      let keys = range_at(plan[tile]);
      key = keys.start + keys.step * i_key;
      // A plan may have keys that are not there yet.
      if (i_key < keys.count && key < uniforms.keys && is_allowed(plan[tile + 1], i_query, i_key)) {
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
    let p = select(0.0, exp(score - top), score > ${NEVER});
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
  if (step > 0) { return; }
  for (var i = 1u; i < steps; i++) { sum += sums[i * columns + lane]; }
  ${
    shared
      ? `let at = (row_at + query_row) * uniforms.shares + share;
  store_result(at * uniforms.valueWidth, uniforms.valueWidth, column, sum);
  if (lane == 0) { stats[at] = vec2f(most, joined); }`
      : `let o_begin = ${headAt("o", "group.z", "group.y")} + query_row * uniforms.oRow;
  store_result(o_begin, uniforms.valueWidth, column, factor_of(most, joined) * sum);`
  }
}`,
  });
});

/** Joins the shares of each query. */
const joinProgram = programs((element: "vec4f" | "f32") =>
  program({
    name: `attention.${element}.row.join`,
    reads: { sums: element, stats: "vec2f" },
    writes: { result: element },
    uniforms: {
      count: "u32",
      columns: "u32",
      queries: "u32",
      heads: "u32",
      shares: "u32",
      ...placeTypes("o"),
    },
    code: `${factorWgsl}${eachIndex(
      "uniforms.count",
      `  let column = i % uniforms.columns;
  let row = i / uniforms.columns;
  let first = row * uniforms.shares;
  var most = ${NEVER};
  for (var share = 0u; share < uniforms.shares; share++) { most = max(most, stats[first + share].x); }
  var total = 0.0;
  var sum = ${element}();
  for (var share = 0u; share < uniforms.shares; share++) {
    let of_share = stats[first + share];
    let weight = exp(of_share.x - most);
    total += weight * of_share.y;
    sum += weight * sums[(first + share) * uniforms.columns + column];
  }
  let head = row / uniforms.queries;
  let begin = ${headAt("o", "(head / uniforms.heads)", "(head % uniforms.heads)")} + row % uniforms.queries * uniforms.oRow;
  result[begin + column] = factor_of(most, total) * sum;`,
    )}`,
  }),
);

/** A share has at least so many keys, and so many groups keep a large card busy. */
const [SHARE, GROUPS] = [512, 256];

/** Into how many the keys of each part are split. */
function splitsOf(rows: number, { longest, parts }: AttentionPlan): number {
  return Math.max(1, Math.min(Math.floor((longest * TILE) / SHARE), Math.floor(GROUPS / (rows * parts))));
}

/** The forward pass of few queries. */
export function attendFew(call: AttentionCall, result: Tensor): void {
  const shape = maskShapeOf(call);
  const { plan, firstRow } = planOfFew(call.pattern, shape);
  const [batch, heads, queries, width] = result.shape as [number, number, number, number];
  const { dropout } = call;
  const drops = dropout !== undefined && dropout.rate > 0;
  const { modifiers, places, lookedUp, buffers, uniforms, vectors } = valuesOf({ call, shape, plan });
  const o = boundPlaceOf(result);
  const rows = batch * heads * queries;
  const splits = splitsOf(rows, plan);
  const shares = plan.parts * splits;
  const shared = shares > 1;
  const [sums, stats] = shared ? [output([rows, shares, width]), output([rows, shares, 2])] : [];
  const areAll = vectors && areVectors(width, o);
  const seen = headShares({ step: 1, first: 0, members: 1, groupSize: heads / call.k.shape[1]! });
  run(rowProgram({ vectors: areAll, dropout: drops, shared, modifiers }), {
    buffers: { ...buffers, result: sums ?? o.values, stats },
    uniforms: {
      ...uniforms,
      ...placeUniforms("o", o),
      ...(drops && dropoutValues(dropout.rate, dropout.address)),
      firstRow,
      shares,
      splits,
    },
    groups: [queries * shares, heads, batch],
    shares: {
      q: seen.queries(places.q),
      k: seen.keys(places.k),
      v: seen.keys(places.v),
      ...(lookedUp && { values: seen.queries(lookedUp) }),
    },
  });
  if (!sums) return;
  const per = areAll ? 4 : 1;
  run(joinProgram(areAll ? "vec4f" : "f32"), {
    buffers: { sums, stats, result: o.values },
    uniforms: {
      count: (rows * width) / per,
      columns: width / per,
      queries,
      heads,
      shares,
      ...placeUniforms("o", o, per),
    },
    groups: eachGroups((rows * width) / per),
  });
  tf.dispose([sums, stats!]);
}
