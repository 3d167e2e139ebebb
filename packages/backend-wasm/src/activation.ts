import { activationOperation, kernel } from "@heddle/core";
import type { Activation, ActivationCall, Kernel } from "@heddle/core";
import type { Tensor } from "@tensorflow/tfjs-core";
import { machine } from "./machine.ts";

/** The numbers by which the kernels know the activations: the order of the enum in kernels/activation.h. */
export const activationCodes: Readonly<Record<Activation, number>> = {
  gelu: 1,
  gelu_new: 2,
  relu: 3,
  silu: 4,
  tanh: 5,
};

/** The activation at x, or with `dy` its derivative there times `dy`. */
export function activate(kind: Activation, x: Tensor, dy?: Tensor): Tensor {
  const { address, output, run } = machine();
  const y = output(x.shape);
  run("activation", [address(x), dy ? address(dy) : 0, address(y), x.size, activationCodes[kind]]);
  return y;
}

/** One pass over the values, forward and backward. */
export const activationWasm: Kernel<ActivationCall> = kernel(activationOperation, {
  name: "activation.f32.wasm",
  backend: "wasm",
  unsupported: () => [],
  forward: ({ x, kind }) => ({ output: activate(kind, x) }),
  gradient: ({ call: { x, kind }, dy }) => ({ x: () => activate(kind, x, dy) }),
});
