/** The gradients of q, k, v and what modifiers look up, for which the probabilities of a tile are made again. */
import { eachPair, passes, PITCH, SIDE, summing } from "./attention-tile-wgsl.ts";
import type { Pass, PassCode, PassVariant } from "./attention-tile-wgsl.ts";
import { place, stages } from "./attention-wgsl.ts";

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
          if (weighs(p)) { s[i][j] = uniforms.scale * unmodified(raw, slope, query_row, key); }`;
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
          if (weighs(p)) { s[i][j] = lookup_slope${n}(raw, slope, query_row, key); }`,
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

/** What a pass of the gradients does. */
export function gradientCode(variant: PassVariant): PassCode {
  const { pass, modifiers, table } = variant;
  const { sums, slope } = passes[pass];
  if (sums) {
    const { functions, tile, ...code } = summing(variant, sums);
    return {
      ...code,
      functions: `${functions}${slope ? slopeWgsl(modifiers.count) : ""}`,
      tile: `${backwardWeights(pass)}${tile}`,
    };
  }
  const { modifier, lookups } = table!;
  return {
    functions: lookups.map((n) => lookupWgsl(modifiers.count, modifier, n)).join(""),
    begin: "",
    tile: lookups.map(addLookups).join(""),
    end: "",
  };
}
