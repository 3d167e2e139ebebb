import { chooseTokenOperation, kernel } from "@heddle/core";
import type { ChooseTokenCall, Kernel } from "@heddle/core";
import * as tf from "@tensorflow/tfjs-core";
import { flatGroups, program, programs } from "./program.ts";
import { output, run } from "./run.ts";

/** Lanes of a row's group, and values of eight bits. */
const LANES = 256;

/** Sums or joins what the lanes have, in halves: `join` is for `lane` and `lane + half`. */
const joined = (join: string): string => `
  workgroupBarrier();
  for (var half = ${LANES / 2}u; half > 0; half >>= 1) {
    if (lane < half) { ${join} }
    workgroupBarrier();
  }`;

/**
 * The k-th greatest logit, eight bits at a time from the highest on: those that agree so far are counted by their next
 * eight bits. It needs no sorting and no second copy; counts of integers do not depend on their order.
 */
const kthGreatest = `
var<workgroup> bins: array<atomic<u32>, ${LANES}>;
struct Search { found: u32, rank: u32 }
var<workgroup> search: Search;
fn kthGreatest(row: u32, lane: u32) -> u32 {
  var so_far = Search(0u, uniforms.topK);
  var known = 0u;
  for (var shift = 24i; shift >= 0; shift -= 8) {
    atomicStore(&bins[lane], 0u);
    workgroupBarrier();
    for (var id = lane; id < uniforms.idsBelow; id += ${LANES}) {
      let number = ordered(bitsAt(row, id));
      if ((number & known) == so_far.found) { atomicAdd(&bins[(number >> u32(shift)) & 255u], 1u); }
    }
    workgroupBarrier();
    if (lane == 0) {
      var rank = so_far.rank;
      var bin = ${LANES - 1}u;
      while (bin > 0 && atomicLoad(&bins[bin]) < rank) {
        rank -= atomicLoad(&bins[bin]);
        bin--;
      }
      search = Search(so_far.found | (bin << u32(shift)), rank);
    }
    so_far = workgroupUniformLoad(&search);
    known |= 255u << u32(shift);
  }
  return so_far.found;
}`;

/** Each lane adds up the chances of ids that follow each other; one lane walks the share that holds the place. */
const drawing = (among: boolean): string => `
  let least = ${among ? "kthGreatest(row, lane)" : "0u"};
  let greatest = bitcast<f32>(bitsAt(row, workgroupUniformLoad(&firsts[0])));
  let share = (uniforms.idsBelow + ${LANES - 1}) / ${LANES};
  var sum = 0.0;
  var last = 0u;
  for (var id = lane * share; id < min((lane + 1) * share, uniforms.idsBelow); id++) {
    let c = chance(row, id, greatest, least);
    sum += c;
    if (c > 0.0) { last = id; }
  }
  sums[lane] = sum;
  lasts[lane] = last;
  workgroupBarrier();
  if (lane > 0) { return; }
  var total = 0.0;
  for (var other = 0u; other < ${LANES}; other++) {
    total += sums[other];
    last = max(last, lasts[other]);
  }
  let target_sum = places[row] * total;
  var before = 0.0;
  var other = 0u;
  while (other < ${LANES - 1} && before + sums[other] <= target_sum) {
    before += sums[other];
    other++;
  }
  // Where rounding makes a place near 1 the whole, the last that can be chosen.
  var chosen = select(last, lasts[other], sums[other] > 0.0);
  // Added up as the share was, so that its sum is reached: added to those before, what is small would be lost.
  var inside = 0.0;
  for (var id = other * share; id < min((other + 1) * share, uniforms.idsBelow); id++) {
    inside += chance(row, id, greatest, least);
    if (before + inside > target_sum) {
      chosen = id;
      break;
    }
  }
  ids[row] = i32(chosen);`;

/** One row a group: the greatest of its logits first, then a draw, if it is to be one. */
const chooseProgram = programs(({ draws, among }: { draws: boolean; among: boolean }) =>
  program({
    name: `chooseToken.f32${draws ? ".draw" : ""}${among ? ".topK" : ""}`,
    // As bits: no arithmetic of floats tells an infinity or NaN for sure, since drivers simplify it.
    reads: { logits: "u32", places: draws ? "f32" : undefined },
    writes: { ids: "i32" },
    uniforms: { vocabulary: "u32", idsBelow: "u32", temperature: "f32", topK: "u32" },
    code: `
var<workgroup> keys: array<u32, ${LANES}>;
var<workgroup> firsts: array<u32, ${LANES}>;
var<workgroup> wrong: array<u32, ${LANES}>;
var<workgroup> sums: array<f32, ${LANES}>;
var<workgroup> lasts: array<u32, ${LANES}>;

fn bitsAt(row: u32, id: u32) -> u32 { return logits[row * uniforms.vocabulary + id]; }

// Unsigned numbers above 0 in the order of the floats of these bits; -0 counts as 0.
fn ordered(bits: u32) -> u32 {
  return select(bits | 0x80000000u, max(~bits, 1u), bits > 0x80000000u);
}

fn chance(row: u32, id: u32, greatest: f32, least: u32) -> f32 {
  let bits = bitsAt(row, id);
  let below = (bitcast<f32>(bits) - greatest) / uniforms.temperature;
  return select(0.0, exp(max(below, -87.0)), ordered(bits) >= least && below >= -87.0);
}
${among ? kthGreatest : ""}
@compute @workgroup_size(${LANES})
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) lane: u32) {
  let row = group.x;
  var key = 0u;
  var first = 0u;
  var isWrong = 0u;
  for (var id = lane; id < uniforms.vocabulary; id += ${LANES}) {
    let bits = bitsAt(row, id);
    if ((bits & 0x7f800000u) == 0x7f800000u) { isWrong = 1u; }
    if (id < uniforms.idsBelow && ordered(bits) > key) {
      key = ordered(bits);
      first = id;
    }
  }
  keys[lane] = key;
  firsts[lane] = first;
  wrong[lane] = isWrong;
  ${joined(`
      wrong[lane] |= wrong[lane + half];
      let mine = keys[lane];
      let theirs = keys[lane + half];
      if (theirs > mine || (theirs == mine && firsts[lane + half] < firsts[lane])) {
        keys[lane] = theirs;
        firsts[lane] = firsts[lane + half];
      }`)}
  if (workgroupUniformLoad(&wrong[0]) != 0u) {
    if (lane == 0) { ids[row] = -1; }
    return;
  }${draws ? drawing(among) : "\n  if (lane == 0) { ids[row] = i32(firsts[0]); }"}
}`,
  }),
);

/** One dispatch, whatever the vocabulary. */
export const chooseTokenWebGpu: Kernel<ChooseTokenCall> = kernel(chooseTokenOperation, {
  name: "chooseToken.f32.webgpu",
  backend: "webgpu",
  unsupported: ({ logits: { shape } }) =>
    shape[0]! > 65_535 ? [`the rows are ${shape[0]}, above 65535`] : [],
  forward({ logits, idsBelow, draw }) {
    const [batch, vocabulary] = logits.shape as [number, number];
    const allowed = idsBelow ?? vocabulary;
    const { temperature = 1, topK = allowed, places } = draw ?? {};
    const ids = output([batch], "int32");
    run(chooseProgram({ draws: draw !== undefined, among: topK < allowed }), {
      buffers: { logits, places: places && tf.tensor1d([...places]), ids },
      uniforms: { vocabulary, idsBelow: allowed, temperature, topK },
      groups: flatGroups(batch),
      shares: { logits: vocabulary },
    });
    return { output: ids };
  },
});
