import { kernel, layerNormOperation, rmsNormOperation, rowsOf, sharedGradient } from "@heddle/core";
import type { GradientContext, Kernel, KernelResult, LayerNormCall, RmsNormCall } from "@heddle/core";
import type { Tensor } from "@tensorflow/tfjs-core";
import { float, machine } from "./machine.ts";
import { columnSums } from "./sums.ts";

/** Rows whose part of a weight's gradient is summed as one: NORM_ROWS of kernels/norms.c. */
const ROWS_OF_A_BLOCK = 16;

/** What the norms' calls have in common. */
interface NormCall {
  readonly x: Tensor;
  readonly residual?: Tensor;
  readonly weight: Tensor;
  readonly bias?: Tensor;
}

/**
 * One pass over the rows by a norm's kernel. If a gradient follows, centre and scale of each row are saved, and the rows
 * as they were normalised.
 */
function normalise(
  name: "layer_norm" | "rms_norm",
  { x, residual, weight, bias }: NormCall,
  epsilon: number,
  differentiating: boolean,
): KernelResult {
  const { address, output, run } = machine();
  const width = x.shape.at(-1)!;
  const rows = rowsOf(x.shape);
  const y = output(x.shape);
  // The sum of x and residual becomes y where it stands, unless it is saved.
  const given = residual ? (differentiating ? output(x.shape) : y) : x;
  const statistics = differentiating ? output([rows, 2]) : undefined;
  const optional = (tensor: Tensor | undefined): number => (tensor ? address(tensor) : 0);
  run(name, [
    address(x),
    optional(residual),
    address(weight),
    optional(bias),
    residual ? address(given) : 0,
    address(y),
    optional(statistics),
    rows,
    width,
    float(epsilon),
  ]);
  return { output: y, ...(statistics && { saved: [statistics, given] }) };
}

/** The gradients by x, residual and weight; `centred` says whether the norm took the mean off. */
function normGradients(
  { call: { x, weight }, saved, dy }: GradientContext<NormCall>,
  centred: boolean,
): { x(): Tensor; residual(): Tensor; weight(): Tensor } {
  const width = x.shape.at(-1)!;
  const rows = rowsOf(x.shape);
  const fill = (name: "norm_dx" | "norm_dweight", result: Tensor): Tensor => {
    const { address, run } = machine();
    const [statistics, given] = saved as [Tensor, Tensor];
    run(name, [...[given, dy, weight, statistics, result].map(address), rows, width, centred ? 1 : 0]);
    return result;
  };
  const ofSum = sharedGradient(() => fill("norm_dx", machine().output(x.shape)));
  return {
    x: ofSum,
    residual: ofSum,
    weight: () =>
      columnSums(fill("norm_dweight", machine().output([Math.ceil(rows / ROWS_OF_A_BLOCK), width]))),
  };
}

/** Rows stay in the first cache between the passes. */
export const layerNormWasm: Kernel<LayerNormCall> = kernel(layerNormOperation, {
  name: "layerNorm.f32.wasm.rows",
  backend: "wasm",
  unsupported: () => [],
  needs: ["weight"],
  forward: ({ epsilon = 1e-5, ...call }, { differentiating }) =>
    normalise("layer_norm", call, epsilon, differentiating),
  gradient: (context) => ({ ...normGradients(context, true), bias: () => columnSums(context.dy) }),
});

/** As `layerNormWasm`, without mean and bias. */
export const rmsNormWasm: Kernel<RmsNormCall> = kernel(rmsNormOperation, {
  name: "rmsNorm.f32.wasm.rows",
  backend: "wasm",
  unsupported: () => [],
  needs: ["weight"],
  forward: ({ epsilon = 1e-6, ...call }, { differentiating }) =>
    normalise("rms_norm", call, epsilon, differentiating),
  gradient: (context) => normGradients(context, false),
});
