import { kernel, layerNormOperation, rmsNormOperation, rowsOf, sharedGradient } from "@heddle/core";
import type { GradientContext, Kernel, KernelResult, LayerNormCall, RmsNormCall } from "@heddle/core";
import type { Tensor } from "@tensorflow/tfjs-core";
import { byLine } from "./parts.ts";
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
import { columnSums, rowBlocks } from "./sums.ts";

/** What the norms' calls have in common. */
interface NormCall {
  readonly x: Tensor;
  readonly residual?: Tensor;
  readonly weight: Tensor;
  readonly bias?: Tensor;
}

/** Rows seen as elements: of four values where the width allows. */
interface Rows {
  readonly rows: number;
  /** Values of a row. */
  readonly values: number;
  /** Elements of a row. */
  readonly width: number;
  readonly element: "vec4f" | "f32";
}

function rowsIn({ shape }: Tensor): Rows {
  const values = shape.at(-1)!;
  const vectors = values % 4 === 0;
  return {
    rows: values === 0 ? 0 : rowsOf(shape),
    values,
    width: vectors ? values / 4 : values,
    element: vectors ? "vec4f" : "f32",
  };
}

/** Invocations of a row's group: few, since they wait for one another. */
const LANES = 64;
/** Sums of a group's parts that are summed by all. */
const SUMS = 8;

/** `fn total(e)`: the sum of an element's values; `fn group_sum(part, lane)`: that of a group's parts. */
const sumsWgsl = (element: Rows["element"], part: "f32" | "vec2f"): string => `
fn total(e: ${element}) -> f32 { return ${element === "f32" ? "e" : "(e.x + e.y) + (e.z + e.w)"}; }

var<workgroup> parts: array<${part}, ${LANES}>;
fn group_sum(part: ${part}, lane: u32) -> ${part} {
  parts[lane] = part;
  workgroupBarrier();
  if (lane < ${SUMS}) {
    var sum = part;
    for (var i = lane + ${SUMS}; i < ${LANES}; i += ${SUMS}) { sum += parts[i]; }
    parts[lane] = sum;
  }
  workgroupBarrier();
  var sum = parts[0];
  for (var i = 1; i < ${SUMS}; i++) { sum += parts[i]; }
  // Before the next sum writes.
  workgroupBarrier();
  return sum;
}`;

/** A group a row, of which every `LANES`th element is an invocation's. */
const rowMain = (code: string): string => `
${flatMain(LANES)}
  let row = ${flatGroup};
  if (row >= uniforms.rows) { return; }
  let begin = row * uniforms.width;
  ${code}
}`;

interface NormVariant {
  /** Whether the mean is taken off and a bias added: layerNorm. */
  readonly centred: boolean;
  readonly residual: boolean;
  /** Whether a gradient follows. */
  readonly saving: boolean;
  readonly element: Rows["element"];
}

const normProgram = programs(({ centred, residual, saving, element }: NormVariant) => {
  const each = (code: string): string =>
    `for (var i = lane; i < uniforms.width; i += ${LANES}) { let value = given(begin + i); ${code} }`;
  return program({
    name: `${centred ? "layerNorm" : "rmsNorm"}.${element}`,
    reads: {
      x: element,
      residual: residual ? element : undefined,
      weight: element,
      bias: centred ? element : undefined,
    },
    writes: {
      y: element,
      sum: residual && saving ? element : undefined,
      statistics: saving ? "f32" : undefined,
    },
    uniforms: { rows: "u32", width: "u32", values: "f32", epsilon: "f32" },
    code: `
fn given(at: u32) -> ${element} { return x[at]${residual ? " + residual[at]" : ""}; }
${sumsWgsl(element, "f32")}
${rowMain(`var sums = ${element}();
  ${centred ? each("sums += value;") : ""}
  let centre = ${centred ? "group_sum(total(sums), lane) / uniforms.values" : "0.0"};
  // Around the mean: the square of the mean taken from the mean of squares loses digits where the mean is large.
  var squares = ${element}();
  ${each("let d = value - centre; squares += d * d;")}
  let scale = inverseSqrt(group_sum(total(squares), lane) / uniforms.values + uniforms.epsilon);
  ${saving ? "if (lane == 0) { statistics[2 * row] = centre; statistics[2 * row + 1] = scale; }" : ""}
  ${each(
    `${residual && saving ? "sum[begin + i] = value;" : ""}
    y[begin + i] = (value - centre) * scale * weight[i]${centred ? " + bias[i]" : ""};`,
  )}`)}`,
  });
});

/** Of each row centre and scale, and the rows as they were normalised, are saved if a gradient follows. */
function normalise(
  centred: boolean,
  { x, residual, weight, bias }: NormCall,
  epsilon: number,
  saving: boolean,
): KernelResult {
  const { rows, width, values, element } = rowsIn(x);
  const y = output(x.shape);
  const sum = residual && saving ? output(x.shape) : undefined;
  const statistics = saving ? output([rows, 2]) : undefined;
  const variant = { centred, residual: residual !== undefined, saving, element };
  run(normProgram(variant), {
    buffers: { x, residual, weight, bias, y, sum, statistics },
    uniforms: { rows, width, values, epsilon },
    groups: flatGroups(rows),
    shares: { x: values, residual: values, y: values, sum: values, statistics: 2 },
  });
  return { output: y, ...(statistics && { saved: [statistics, sum ?? x] }) };
}

interface NormGradientVariant {
  readonly centred: boolean;
  readonly element: Rows["element"];
}

/** dx = (d - mean(d) - normal mean(d normal)) scale, for d = dy weight; without the first mean if not centred. */
const normDxProgram = programs(({ centred, element }: NormGradientVariant) => {
  const each = (code: string): string =>
    `for (var i = lane; i < uniforms.width; i += ${LANES}) {
    let d = dy[begin + i] * weight[i];
    let normal = (given[begin + i] - centre) * scale;
    ${code}
  }`;
  return program({
    name: `${centred ? "layerNorm" : "rmsNorm"}.${element}.dx`,
    reads: { given: element, dy: element, weight: element, statistics: "f32" },
    writes: { dx: element },
    uniforms: { rows: "u32", width: "u32", values: "f32" },
    code: `${sumsWgsl(element, "vec2f")}
${rowMain(`let centre = statistics[2 * row];
  let scale = statistics[2 * row + 1];
  var sums = ${element}();
  var products = ${element}();
  ${each(`${centred ? "sums += d;" : ""} products += d * normal;`)}
  let means = group_sum(vec2f(total(sums), total(products)), lane) / uniforms.values;
  ${each("dx[begin + i] = (d - means.x - normal * means.y) * scale;")}`)}`,
  });
});

/** Sums of dy normal over blocks of rows. */
const normDweightProgram = programs((element: Rows["element"]) =>
  program({
    name: `norm.${element}.dweight`,
    reads: { given: element, dy: element, statistics: "f32" },
    writes: { parts: element },
    uniforms: { rows: "u32", width: "u32", block: "u32" },
    code: eachIndex(
      "(uniforms.rows + uniforms.block - 1) / uniforms.block * uniforms.width",
      `  let first = i / uniforms.width * uniforms.block;
  var sum = ${element}();
  for (var row = first; row < min(first + uniforms.block, uniforms.rows); row++) {
    let at = row * uniforms.width + i % uniforms.width;
    sum += dy[at] * ((given[at] - statistics[2 * row]) * statistics[2 * row + 1]);
  }
  parts[i] = sum;`,
    ),
  }),
);

/** The gradients by x, residual and weight; `centred` says whether the norm took the mean off. */
function normGradients(
  { call: { x, weight }, saved, dy }: GradientContext<NormCall>,
  centred: boolean,
): { x(): Tensor; residual(): Tensor; weight(): Tensor } {
  const [statistics, given] = saved as [Tensor, Tensor];
  const { rows, width, values, element } = rowsIn(x);
  const ofSum = sharedGradient(() => {
    const dx = output(x.shape);
    run(normDxProgram({ centred, element }), {
      buffers: { given, dy, weight, statistics, dx },
      uniforms: { rows, width, values },
      groups: flatGroups(rows),
      shares: { given: values, dy: values, dx: values, statistics: 2 },
    });
    return dx;
  });
  return {
    x: ofSum,
    residual: ofSum,
    weight: () => {
      const { block, blocks } = rowBlocks(rows);
      const parts = output([blocks, values]);
      const blockRows = byLine(width / EACH, (n) => Math.min(rows, n * block) * values);
      run(normDweightProgram(element), {
        buffers: { given, dy, statistics, parts },
        uniforms: { rows, width, block },
        groups: eachGroups(blocks * width),
        shares: { given: blockRows, dy: blockRows },
      });
      return columnSums(parts);
    },
  };
}

/** A group of invocations a row. */
export const layerNormWebGpu: Kernel<LayerNormCall> = kernel(layerNormOperation, {
  name: "layerNorm.f32.webgpu.rows",
  backend: "webgpu",
  unsupported: () => [],
  needs: ["weight"],
  forward: ({ epsilon = 1e-5, ...call }, { differentiating }) =>
    normalise(true, call, epsilon, differentiating),
  gradient: (context) => ({ ...normGradients(context, true), bias: () => columnSums(context.dy) }),
});

/** As `layerNormWebGpu`, without mean and bias. */
export const rmsNormWebGpu: Kernel<RmsNormCall> = kernel(rmsNormOperation, {
  name: "rmsNorm.f32.webgpu.rows",
  backend: "webgpu",
  unsupported: () => [],
  needs: ["weight"],
  forward: ({ epsilon = 1e-6, ...call }, { differentiating }) =>
    normalise(false, call, epsilon, differentiating),
  gradient: (context) => normGradients(context, false),
});
