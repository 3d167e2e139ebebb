import { adamwOperation, kernel } from "@heddle/core";
import type { AdamWCall, Kernel } from "@heddle/core";
import * as tf from "@tensorflow/tfjs-core";
import type { Tensor } from "@tensorflow/tfjs-core";
import { float, machine } from "./machine.ts";

/** One pass over value, gradient and both moments, which it overwrites where they are given up. */
export const adamwWasm: Kernel<AdamWCall, Tensor[]> = kernel(adamwOperation, {
  name: "adamwStep.f32.wasm",
  backend: "wasm",
  unsupported: () => [],
  needs: [],
  forward({ value, gradient, mean, square, step, inPlace = false, ...rates }) {
    const { address, output, run } = machine();
    const { learningRate, beta1, beta2, epsilon, weightDecay } = rates;
    const old = [value, mean, square];
    const next = old.map((tensor) =>
      // Once a clone is made, the memory has two holders.
      inPlace && tf.backend().refCount(tensor.dataId) === 1 ? tf.clone(tensor) : output(tensor.shape),
    );
    run("adamw", [
      ...[value, gradient, mean, square, ...next].map(address),
      value.size,
      ...[beta1, 1 - beta1, beta2, 1 - beta2].map(float),
      float(1 / Math.sqrt(1 - beta2 ** step)),
      float(epsilon),
      float(learningRate / (1 - beta1 ** step)),
      float(1 - learningRate * weightDecay),
    ]);
    return { output: next };
  },
});
