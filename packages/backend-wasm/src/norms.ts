import { kernel, layerNormOperation, rmsNormOperation } from "@heddle/core";
import type { GradientContext, Kernel, KernelResult, LayerNormCall, RmsNormCall } from "@heddle/core";
import type { Tensor } from "@tensorflow/tfjs-core";
import { float, machine } from "./machine.ts";
import { columnSums } from "./sums.ts";

/** Rows whose part of a weight's gradient is summed as one: NORM_ROWS of kernels/norms.c. */
const ROWS_OF_A_BLOCK = 16;

/** What the norms' calls have in common. */
interface NormCall {
  readonly x: Tensor;
  readonly weight: Tensor;
  readonly bias?: Tensor;
}

/** One pass over the rows by a norm's kernel; centre and scale of each row are saved if a gradient follows. */
function normalise(
  name: "layer_norm" | "rms_norm",
  { x, weight, bias }: NormCall,
  epsilon: number,
  differentiating: boolean,
): KernelResult {
  const { address, output, run } = machine();
  const width = x.shape.at(-1)!;
  const rows = x.size / width;
  const y = output(x.shape);
  const statistics = differentiating ? output([rows, 2]) : undefined;
  run(name, [
    ...[x, weight].map(address),
    bias ? address(bias) : 0,
    address(y),
    statistics ? address(statistics) : 0,
    rows,
    width,
    float(epsilon),
  ]);
  return { output: y, ...(statistics && { saved: [statistics] }) };
}

/** The gradients by x and weight; `centred` says whether the norm took the mean off. */
function normGradients(
  { call: { x, weight }, saved, dy }: GradientContext<NormCall>,
  centred: boolean,
): { x(): Tensor; weight(): Tensor } {
  const width = x.shape.at(-1)!;
  const rows = x.size / width;
  const fill = (name: "norm_dx" | "norm_dweight", result: Tensor): Tensor => {
    const { address, run } = machine();
    run(name, [...[x, dy, weight, saved[0]!, result].map(address), rows, width, centred ? 1 : 0]);
    return result;
  };
  return {
    x: () => fill("norm_dx", machine().output(x.shape)),
    weight: () =>
      columnSums(fill("norm_dweight", machine().output([Math.ceil(rows / ROWS_OF_A_BLOCK), width]))),
  };
}

/** Rows stay in the first cache between the passes. */
export const layerNormWasm: Kernel<LayerNormCall> = kernel(layerNormOperation, {
  name: "layerNorm.f32.wasm.rows",
  backend: "wasm",
  unsupported: () => [],
  needs: ["x", "weight"],
  forward: ({ epsilon = 1e-5, ...call }, { differentiating }) =>
    normalise("layer_norm", call, epsilon, differentiating),
  gradient: (context) => ({ ...normGradients(context, true), bias: () => columnSums(context.dy) }),
});

/** As `layerNormWasm`, without mean and bias. */
export const rmsNormWasm: Kernel<RmsNormCall> = kernel(rmsNormOperation, {
  name: "rmsNorm.f32.wasm.rows",
  backend: "wasm",
  unsupported: () => [],
  needs: ["x", "weight"],
  forward: ({ epsilon = 1e-6, ...call }, { differentiating }) =>
    normalise("rms_norm", call, epsilon, differentiating),
  gradient: (context) => normGradients(context, false),
});
