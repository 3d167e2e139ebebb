import { kernel, layerNormOperation, rmsNormOperation } from "@heddle/core";
import type { Kernel, LayerNormCall, RmsNormCall } from "@heddle/core";
import type { Tensor } from "@tensorflow/tfjs-core";
import { float, machine } from "./machine.ts";

/** One pass over the rows by a norm's kernel. */
function normalise(
  name: "layer_norm" | "rms_norm",
  { x, weight, bias }: { x: Tensor; weight: Tensor; bias?: Tensor },
  epsilon: number,
): Tensor {
  const { address, output, run } = machine();
  const y = output(x.shape);
  const width = x.shape.at(-1)!;
  const addresses = [address(x), address(weight), bias ? address(bias) : 0, address(y)];
  run(name, [...addresses, y.size / width, width, float(epsilon)]);
  return y;
}

/** Rows stay in the first cache between the passes. */
export const layerNormWasm: Kernel<LayerNormCall> = kernel(layerNormOperation, {
  name: "layerNorm.f32.wasm.rows",
  backend: "wasm",
  unsupported: () => [],
  forward: ({ epsilon = 1e-5, ...call }) => ({ output: normalise("layer_norm", call, epsilon) }),
});

/** As `layerNormWasm`, without mean and bias. */
export const rmsNormWasm: Kernel<RmsNormCall> = kernel(rmsNormOperation, {
  name: "rmsNorm.f32.wasm.rows",
  backend: "wasm",
  unsupported: () => [],
  forward: ({ epsilon = 1e-6, ...call }) => ({ output: normalise("rms_norm", call, epsilon) }),
});
