import { crossEntropyOperation, crossEntropyWeight, kernel } from "@heddle/core";
import type { CrossEntropyCall, Kernel } from "@heddle/core";
import * as tf from "@tensorflow/tfjs-core";
import type { Tensor } from "@tensorflow/tfjs-core";
import {
  EACH,
  eachGroups,
  eachIndex,
  flatGroup,
  flatMain,
  flatGroups,
  program,
  programs,
} from "./program.ts";
import { output, run } from "./run.ts";
import { rowSums } from "./sums.ts";

/** A label that no class has, for rows that do not count. */
const IGNORED = -1;

/** Invocations that share a row: as many as still have long runs of their own, since the row waits for all. */
const lanesFor = (classes: number): number => (classes >= 8192 ? 256 : 32);

/** Those of them that join what all found. */
const JOINING = 8;

/** Below every logit but -Infinity. */
const LOWEST = "-3.4028234e38";

/** exp of what is at most 0; of less than -104 it is 0 anyway, so that none is made of an infinity. */
const shareWgsl = (type: "f32" | "vec4f"): string => `
fn share_${type}(shifted: ${type}) -> ${type} { return select(exp(shifted), ${type}(), shifted < ${type}(-104.0)); }`;

/** What a program over rows is written for. */
interface RowsVariant {
  /** 4 divides the classes: they are read as vectors. */
  readonly vectors: boolean;
  readonly lanes: number;
}

/** A group reads a row once: a lane's sum is scaled anew where it meets a greater logit. */
const rowsProgram = programs(({ vectors, lanes }: RowsVariant) => {
  const four = (of: (k: number) => string): string => `vec4f(${[0, 1, 2, 3].map(of).join(", ")})`;
  // Neighbouring lanes read neighbours.
  const read = vectors
    ? `let x = logits[(first + i) / 4];`
    : `let inside = vec4u(i, i + ${lanes}, i + ${2 * lanes}, i + ${3 * lanes}) < vec4u(uniforms.classes);
    let x = select(vec4f(${LOWEST}), ${four((k) => `logits[first + i + ${k * lanes}]`)}, inside);`;
  const inside = (sums: string): string => (vectors ? sums : `select(vec4f(), ${sums}, inside)`);
  return program({
    name: `crossEntropy.f32.rows.lanes${lanes}${vectors ? ".vec4" : ""}`,
    reads: { logits: vectors ? "vec4f" : "f32", labels: "i32" },
    // Of each row the greatest logit, and the sum of exp(logit - greatest).
    writes: { statistics: "f32", losses: "f32" },
    uniforms: { rows: "u32", classes: "u32", weight: "f32", smoothing: "f32" },
    code: `${shareWgsl("f32")}${shareWgsl("vec4f")}
// Of some logits the greatest, the sum of exp(logit - greatest), and the sum of logit - base.
var<workgroup> parts: array<vec3f, ${lanes}>;
fn join(a: vec3f, b: vec3f) -> vec3f {
  let greatest = max(a.x, b.x);
  return vec3f(greatest, a.y * share_f32(a.x - greatest) + b.y * share_f32(b.x - greatest), a.z + b.z);
}
${flatMain(lanes)}
  let row = ${flatGroup};
  if (row >= uniforms.rows) { return; }
  let first = row * uniforms.classes;
  let label = labels[row];
  let at = first + u32(max(label, 0));
  let target_logit = ${vectors ? "logits[at / 4][at % 4]" : "logits[at]"};
  // Near all of them as a rule, and finite.
  let base = select(0.0, target_logit, target_logit > ${LOWEST});
  // Most rows of a masked model do not count: none of their logits is read.
  let end = select(uniforms.classes, 0u, label == ${IGNORED});
  var greatest = f32(${LOWEST});
  var sums = vec4f();
  var differences = vec4f();
  for (var i = ${vectors ? "4 * lane" : "lane"}; i < end; i += ${4 * lanes}) {
    ${read}
    let most = max(max(x.x, x.y), max(x.z, x.w));
    if (most > greatest) {
      sums *= share_f32(greatest - most);
      greatest = most;
    }
    sums += ${inside("share_vec4f(x - greatest)")};
    differences += ${inside("x - base")};
  }
  parts[lane] = vec3f(
    greatest,
    (sums.x + sums.y) + (sums.z + sums.w),
    (differences.x + differences.y) + (differences.z + differences.w),
  );
  workgroupBarrier();
  if (lane < ${JOINING}) {
    var part = parts[lane];
    for (var other = lane + ${JOINING}; other < ${lanes}; other += ${JOINING}) { part = join(part, parts[other]); }
    parts[lane] = part;
  }
  workgroupBarrier();
  if (lane == 0) {
    var row_part = parts[0];
    for (var other = 1u; other < ${JOINING}; other++) { row_part = join(row_part, parts[other]); }
    // exp, log and max may make a number of a logit that is none, and comparisons with it may be left out.
    let is_number = (bitcast<u32>(row_part.z) & 0x7fffffff) <= 0x7f800000;
    let sum = select(row_part.z, row_part.y, is_number);
    statistics[2 * row] = row_part.x;
    statistics[2 * row + 1] = sum;
    var loss = log(sum) + (row_part.x - target_logit) * (1.0 - uniforms.smoothing);
    // Without smoothing a class that is ruled out by -Infinity takes no part: 0 times it is no number.
    if (uniforms.smoothing > 0.0) {
      loss += (row_part.x - base - row_part.z / f32(uniforms.classes)) * uniforms.smoothing;
    }
    losses[row] = select(select(row_part.z, loss, is_number) * uniforms.weight, 0.0, label == ${IGNORED});
  }
}`,
  });
});

const gradientProgram = program({
  name: "crossEntropy.f32.gradient",
  reads: { logits: "f32", labels: "i32", statistics: "f32", dy: "f32" },
  writes: { dx: "f32" },
  uniforms: { size: "u32", classes: "u32", smoothing: "f32", weight: "f32" },
  code: `${shareWgsl("f32")}${eachIndex(
    "uniforms.size",
    `  let row = i / uniforms.classes;
  let label = labels[row];
  if (label == ${IGNORED}) {
    dx[i] = 0.0;
    return;
  }
  let probability = share_f32(logits[i] - statistics[2 * row]) / statistics[2 * row + 1];
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
    const [statistics, losses] = [output([rows, 2]), output([rows])];
    const weight = crossEntropyWeight(call);
    const variant = { vectors: classes % 4 === 0, lanes: lanesFor(classes) };
    run(rowsProgram(variant), {
      buffers: { logits, labels, statistics, losses },
      uniforms: { rows, classes, weight, smoothing },
      groups: flatGroups(rows),
      shares: { logits: classes },
    });
    return { output: rowSums(losses, 1, 1, []), saved: [statistics, labels] };
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
