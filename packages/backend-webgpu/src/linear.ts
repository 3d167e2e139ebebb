import { kernel, linearOperation, rowsOf } from "@heddle/core";
import type { Kernel, LinearCall } from "@heddle/core";
import type { Tensor } from "@tensorflow/tfjs-core";
import { activate } from "./activation.ts";
import { storageOf, unsupportedForm, valuesOf } from "./matrix-forms.ts";
import { product } from "./product.ts";
import { combine } from "./residual.ts";
import { columnSums } from "./sums.ts";

/** activation(x w + bias) + residual, [..., M]: one dispatch. */
function apply({ x, weight, bias, layout: given = "linear", activation, residual }: LinearCall): Tensor {
  const layout = "kind" in weight ? weight.layout : given;
  const columns = weight.shape[layout === "linear" ? 0 : 1]!;
  const factors = { a: x, b: valuesOf(weight), transposeB: layout === "linear", storage: storageOf(weight) };
  const sizes = { batch: 1, rows: rowsOf(x.shape), inner: x.shape.at(-1)!, columns };
  return product({ ...factors, ...sizes, bias, activation, residual }, [...x.shape.slice(0, -1), columns]);
}

/** a^T b, the gradient of a weight. */
function weightGradient(a: Tensor, b: Tensor, shape: readonly number[]): Tensor {
  const [rows, columns] = shape as [number, number];
  return product({ a, b, transposeA: true, batch: 1, rows, inner: rowsOf(a.shape), columns }, shape);
}

/** One dispatch, forward and for each gradient; bias, activation and residual are added before a sum is written. */
export const linearWebGpu: Kernel<LinearCall> = kernel(linearOperation, {
  name: "linear.f32.webgpu.tiles",
  backend: "webgpu",
  unsupported: ({ weight }) => unsupportedForm("weight", weight),
  needs: ["x", "weight"],
  forward(call, { differentiating }) {
    const { activation, residual } = call;
    // The gradient needs what the activation was given.
    if (!activation || !differentiating) return { output: apply(call) };
    const { x, weight, bias, layout } = call;
    const before = apply({ x, weight, ...(bias && { bias }), ...(layout && { layout }) });
    const activated = activate(activation, before);
    return { output: residual ? combine("+", activated, residual) : activated, saved: [before] };
  },
  gradient({ call: { x, weight, layout = "linear", activation }, saved, dy }) {
    const d = activation ? activate(activation, saved[0]!, dy) : dy;
    // A packed weight has no gradient (core refuses it).
    const matrix = weight as Tensor;
    return {
      x: () => apply({ x: d, weight: matrix, layout: layout === "linear" ? "conv1d" : "linear" }),
      weight: () => {
        const [a, b] = layout === "linear" ? [d, x] : [x, d];
        return weightGradient(a, b, matrix.shape);
      },
      bias: () => columnSums(d),
      residual: () => dy,
    };
  },
});
