/**
 * Attention maps: a group has one row of one head, and its lanes share the keys of the tiles in which the pattern
 * allows a pair. Scores are written where their probabilities will be, and the rest of a row is zeros.
 */
import { attentionMapsOperation } from "@heddle/attention";
import type { AttentionMapsCall } from "@heddle/attention";
import { kernel } from "@heddle/core";
import type { Kernel } from "@heddle/core";
import * as tf from "@tensorflow/tfjs-core";
import { TILE } from "./attention-masks.ts";
import type { ModifierCode } from "./attention-modifiers.ts";
import { ENTRY } from "./attention-plan.ts";
import { taskOf, valuesOf, whyNoTask } from "./attention-task.ts";
import {
  callUniforms,
  entryOf,
  joinWgsl,
  loadWgsl,
  NEVER,
  rangeOfWgsl,
  sharedWgsl,
  VECTORS,
} from "./attention-wgsl.ts";
import { headAt } from "./heads-in-place.ts";
import { flatGroup, flatMain, flatGroups, program, programs } from "./program.ts";
import { output, run } from "./run.ts";

/** Lanes of a group: few, since short rows are the rule. */
const LANES = 64;

interface MapsVariant {
  readonly vectors: boolean;
  readonly modifiers: ModifierCode;
}

/** Goes through a row's tiles: `body` knows the `key` of a pair that is allowed, always in the same lane. */
const eachKey = (body: string): string => `
  for (var part = 0u; part < uniforms.parts; part++) {
    let entry = ${entryOf("batch", "head", "part")};
    let number = range_of(entry, query_row);
    if (number == plan[entry + ${ENTRY.queries.count}]) { continue; }
    let own = range_at(plan[entry + ${ENTRY.queries.ranges}] + 3 * number);
    let i_query = (query_row - own.start) / own.step;
    let list = plan[entry + ${ENTRY.queries.lists}] + number;
    let end = plan[list + 1];
    for (var tile = plan[list] + 2 * (lane / ${TILE}); tile < end; tile += ${(2 * LANES) / TILE}) {
      let keys = range_at(plan[tile]);
      let i_key = lane % ${TILE};
      if (i_key >= keys.count || !is_allowed(plan[tile + 1], i_query, i_key)) { continue; }
      let key = keys.start + keys.step * i_key;
      ${body}
    }
  }`;

const mapsProgram = programs(({ vectors, modifiers }: MapsVariant) => {
  const element = vectors ? "vec4f" : "f32";
  return program({
    name: `attentionMaps.f32.rows${vectors ? ".vec4" : ""}`,
    reads: {
      q: element,
      k: element,
      plan: "u32",
      values: modifiers.reads ? "f32" : undefined,
      chosen: "u32",
    },
    writes: { result: "f32" },
    uniforms: {
      ...callUniforms(modifiers),
      count: "u32",
      chosenHeads: "u32",
      chosenRows: "u32",
    },
    code: `
${sharedWgsl(modifiers, false)}
${["q", "k"].map((name) => loadWgsl(name, vectors)).join("\n")}
${joinWgsl(LANES)}
${rangeOfWgsl}

var<workgroup> query: array<vec4f, ${VECTORS}>;

${flatMain(LANES)}
  let i = ${flatGroup};
  if (i >= uniforms.count) { return; }
  // The result has the rows of each chosen head one after the other.
  let batch = i / uniforms.chosenRows / uniforms.chosenHeads;
  let head = chosen[i / uniforms.chosenRows % uniforms.chosenHeads];
  let query_row = chosen[uniforms.chosenHeads + i % uniforms.chosenRows];
  let begin = i * uniforms.keys;
  batch_at = batch;
  head_at = head;
  offset_at = i32(plan[${entryOf("batch", "head", "0")} + ${ENTRY.queryOffset}]);
  let q_begin = ${headAt("q", "batch", "head")} + query_row * uniforms.qRow;
  let k_base = ${headAt("k", "batch", "head / uniforms.groupSize")};
  for (var j = lane; 4 * j < uniforms.width; j += ${LANES}) {
    query[j] = uniforms.scale * load_q(q_begin, uniforms.width, 4 * j);
  }
  for (var key = lane; key < uniforms.keys; key += ${LANES}) { result[begin + key] = 0.0; }
  // Zeros of a lane come before the scores that others write over them.
  storageBarrier();
  workgroupBarrier();
  var most = ${NEVER};
  var total = 0.0;
  ${eachKey(`var score = 0.0;
      for (var j = 0u; 4 * j < uniforms.width; j++) {
        score += dot(query[j], load_k(k_base + key * uniforms.kRow, uniforms.width, 4 * j));
      }
      score = modified(score, query_row, key);
      result[begin + key] = score;
      let top = max(most, score);
      total = total * exp(most - top) + exp(score - top);
      most = top;`)}
  let greatest = joined_max(lane, most);
  let factor = factor_of(greatest, joined_sum(lane, total * exp(most - greatest)));
  ${eachKey("result[begin + key] = factor * exp(result[begin + key] - greatest);")}
}`,
  });
});

const numbers = (count: number): number[] => Array.from({ length: count }, (_, number) => number);

/** Probabilities of the rows that are asked for, from the tiles in which the pattern allows a pair. */
export const attentionMapsWebGpu: Kernel<AttentionMapsCall> = kernel(attentionMapsOperation, {
  name: "attentionMaps.f32.webgpu.rows",
  backend: "webgpu",
  unsupported: (call) => whyNoTask(call),
  forward({ heads, rows, ...call }) {
    const task = taskOf(call);
    const [batch, headCount, queries] = call.q.shape as [number, number, number];
    const [ofHeads, ofRows] = [heads ?? numbers(headCount), rows ?? numbers(queries)];
    const keys = task.shape.keyLength;
    const result = output([batch, ofHeads.length, ofRows.length, keys]);
    if (result.size === 0) return { output: result };
    const { modifiers, vectors, buffers, uniforms } = valuesOf(task);
    const chosen = tf.tensor1d([...ofHeads, ...ofRows], "int32");
    const count = result.size / keys;
    run(mapsProgram({ vectors, modifiers }), {
      buffers: { ...buffers, chosen, result },
      uniforms: { ...uniforms, count, chosenHeads: ofHeads.length, chosenRows: ofRows.length },
      groups: flatGroups(count),
      shares: { result: keys },
    });
    return { output: result };
  },
});
