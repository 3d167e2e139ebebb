/**
 * The passes of attention over the tiles of a plan, forward and backward. A group has a range of queries (or of keys, for
 * dk and dv) of one head as its own, and goes through the tiles that it has with the other side's.
 */
import { forwardCode } from "./attention-forward.ts";
import { gradientCode } from "./attention-gradients.ts";
import { TILE } from "./attention-masks.ts";
import { ENTRY } from "./attention-plan.ts";
import { arrays, LANES, passes, PITCH, SIDE } from "./attention-tile-wgsl.ts";
import type { ArrayName, PassVariant } from "./attention-tile-wgsl.ts";
import { entryOf, loadWgsl, passUniforms, sharedWgsl } from "./attention-wgsl.ts";
import type { PassBuffer, PassUniform } from "./attention-wgsl.ts";
import { headAt } from "./heads-in-place.ts";
import { program, programs } from "./program.ts";
import type { Program } from "./program.ts";

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
  const { functions, begin, tile, end } = pass === "o" ? forwardCode(variant) : gradientCode(variant);
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
