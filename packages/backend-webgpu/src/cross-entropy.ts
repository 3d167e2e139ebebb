import { crossEntropyOperation, crossEntropyWeight, kernel } from "@heddle/core";
import type { CrossEntropyCall, Kernel } from "@heddle/core";
import * as tf from "@tensorflow/tfjs-core";
import type { Tensor } from "@tensorflow/tfjs-core";
import { EACH, eachGroups, eachIndex, flatGroup, flatGroups, output, program, run } from "./program.ts";

/** A label that no class has, for rows that do not count. */
const IGNORED = -1;

/** Lanes of a group, and those of them that join the others. */
const [SIZE, JOINING] = [256, 16];

/** A function that joins one value of every lane to one for all, always in the same order. */
const joinWgsl = (name: string, joined: string): string => `
fn ${name}(lane: u32, own: f32) -> f32 {
  var a = own;
  lanes[lane] = own;
  workgroupBarrier();
  if (lane < ${JOINING}) {
    for (var other = lane + ${JOINING}; other < ${SIZE}; other += ${JOINING}) {
      let b = lanes[other];
      a = ${joined};
    }
    lanes[lane] = a;
  }
  workgroupBarrier();
  a = lanes[0];
  for (var other = 1u; other < ${JOINING}; other++) {
    let b = lanes[other];
    a = ${joined};
  }
  // Before they are written again.
  workgroupBarrier();
  return a;
}`;

const sumWgsl = `
var<workgroup> lanes: array<f32, ${SIZE}>;${joinWgsl("sum_of_lanes", "a + b")}`;

/** exp of what is at most 0. Of less than -104 it is 0 anyway: so no exp of an infinity, while NaN stays NaN. */
const shareWgsl = `
fn share(shifted: f32) -> f32 { return select(exp(shifted), 0.0, shifted < -104.0); }`;

const rowsProgram = program({
  name: "crossEntropy.f32.rows",
  reads: { logits: "f32", labels: "i32" },
  // Of each row the greatest logit, and the sum of exp(logit - greatest).
  writes: { statistics: "f32", losses: "f32" },
  uniforms: { rows: "u32", classes: "u32", smoothing: "f32" },
  code: `${sumWgsl}${joinWgsl("greatest_of_lanes", "max(a, b)")}${shareWgsl}
var<workgroup> group_label: i32;
@compute @workgroup_size(${SIZE})
fn main(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) lane: u32,
) {
  let row = ${flatGroup};
  if (row >= uniforms.rows) { return; }
  if (lane == 0) { group_label = labels[row]; }
  let label = workgroupUniformLoad(&group_label);
  // Most rows of a masked model: none of their logits is read.
  if (label == ${IGNORED}) {
    if (lane == 0) { losses[row] = 0.0; }
    return;
  }
  let first = row * uniforms.classes;
  // Lanes beyond the classes have the last one.
  var most = logits[first + min(lane, uniforms.classes - 1)];
  for (var i = lane + ${SIZE}; i < uniforms.classes; i += ${SIZE}) { most = max(most, logits[first + i]); }
  most = greatest_of_lanes(lane, most);
  var sum = 0.0;
  var shifted_sum = 0.0;
  for (var i = lane; i < uniforms.classes; i += ${SIZE}) {
    let shifted = logits[first + i] - most;
    sum += share(shifted);
    shifted_sum += shifted;
  }
  sum = sum_of_lanes(lane, sum);
  var target_logit = logits[first + u32(label)] - most;
  // Without smoothing a class that is ruled out by -Infinity takes no part: 0 times it is no number.
  if (uniforms.smoothing > 0.0) {
    let mean = sum_of_lanes(lane, shifted_sum) / f32(uniforms.classes);
    target_logit = target_logit * (1.0 - uniforms.smoothing) + mean * uniforms.smoothing;
  }
  if (lane == 0) {
    statistics[2 * row] = most;
    statistics[2 * row + 1] = sum;
    losses[row] = log(sum) - target_logit;
  }
}`,
});

const lossProgram = program({
  name: "crossEntropy.f32.sum",
  reads: { losses: "f32" },
  writes: { loss: "f32" },
  uniforms: { rows: "u32", weight: "f32" },
  code: `${sumWgsl}
@compute @workgroup_size(${SIZE})
fn main(@builtin(local_invocation_index) lane: u32) {
  var sum = 0.0;
  for (var row = lane; row < uniforms.rows; row += ${SIZE}) { sum += losses[row]; }
  sum = sum_of_lanes(lane, sum);
  if (lane == 0) { loss[0] = sum * uniforms.weight; }
}`,
});

const gradientProgram = program({
  name: "crossEntropy.f32.gradient",
  reads: { logits: "f32", labels: "i32", statistics: "f32", dy: "f32" },
  writes: { dx: "f32" },
  uniforms: { size: "u32", classes: "u32", smoothing: "f32", weight: "f32" },
  code: `${shareWgsl}${eachIndex(
    "uniforms.size",
    `  let row = i / uniforms.classes;
  let label = labels[row];
  if (label == ${IGNORED}) {
    dx[i] = 0.0;
    return;
  }
  let probability = share(logits[i] - statistics[2 * row]) / statistics[2 * row + 1];
  let hot = select(0.0, 1.0 - uniforms.smoothing, i % uniforms.classes == u32(label));
  let wanted = hot + uniforms.smoothing / f32(uniforms.classes);
  dx[i] = (probability - wanted) * uniforms.weight * dy[0];`,
  )}`,
});

/** The labels for the device. */
function placeLabels({ labels, ignoreIndex = -100 }: CrossEntropyCall): Tensor {
  return tf.tensor1d(
    labels.map((label) => (label === ignoreIndex ? IGNORED : label)),
    "int32",
  );
}

/** Two numbers a row are kept of the softmax; the gradient makes it again, in the place where it is wanted. */
export const crossEntropyWebGpu: Kernel<CrossEntropyCall> = kernel(crossEntropyOperation, {
  name: "crossEntropy.f32.webgpu.rows",
  backend: "webgpu",
  unsupported: () => [],
  forward(call) {
    const {
      logits,
      labels: { length: rows },
      labelSmoothing: smoothing = 0,
    } = call;
    const classes = logits.shape.at(-1)!;
    const labels = placeLabels(call);
    const [statistics, losses, loss] = [output([rows, 2]), output([rows]), output([])];
    run(rowsProgram, {
      buffers: { logits, labels, statistics, losses },
      uniforms: { rows, classes, smoothing },
      groups: flatGroups(rows),
      shares: { logits: classes },
    });
    run(lossProgram, {
      buffers: { losses, loss },
      uniforms: { rows, weight: crossEntropyWeight(call) },
      groups: [1],
    });
    return { output: loss, saved: [statistics, labels] };
  },
  gradient: ({ call, saved, dy }) => ({
    logits: () => {
      const { logits, labelSmoothing: smoothing = 0 } = call;
      const classes = logits.shape.at(-1)!;
      const weight = crossEntropyWeight(call);
      const [statistics, labels] = saved as [Tensor, Tensor];
      const dx = output(logits.shape);
      run(gradientProgram, {
        buffers: { logits, labels, statistics, dy, dx },
        uniforms: { size: dx.size, classes, smoothing, weight },
        groups: eachGroups(dx.size),
        shares: { logits: EACH, dx: EACH },
      });
      return dx;
    },
  }),
});
