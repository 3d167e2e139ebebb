import { kernel, repetitionOf, residualOperation } from "@heddle/core";
import type { Kernel, ResidualCall } from "@heddle/core";
import * as tf from "@tensorflow/tfjs-core";
import { machine } from "./machine.ts";
import { rowSums } from "./sums.ts";

/** One pass over x, y staying where it is. */
export const residualWasm: Kernel<ResidualCall> = kernel(residualOperation, {
  name: "residual.f32.wasm",
  backend: "wasm",
  unsupported: (call) =>
    repetitionOf(call) ? [] : ["y is repeated along dimensions that do not lie together"],
  needs: [],
  forward(call) {
    const { address, output, run } = machine();
    const { repeats, inner } = repetitionOf(call)!;
    const sum = output(call.x.shape);
    run("add", [...[call.x, call.y, sum].map(address), sum.size, repeats, inner]);
    return { output: sum };
  },
  gradient: ({ call, dy }) => ({
    x: () => dy,
    y: () => {
      const { outer, repeats, inner } = repetitionOf(call)!;
      return repeats === 1 ? tf.reshape(dy, call.y.shape) : rowSums(dy, outer, inner, call.y.shape);
    },
  }),
});
