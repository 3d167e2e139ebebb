import { kernel, repetitionOf, residualOperation } from "@heddle/core";
import type { Kernel, ResidualCall } from "@heddle/core";
import * as tf from "@tensorflow/tfjs-core";
import { eachGroups, eachIndex, output, program, programs, run } from "./program.ts";
import { rowSums } from "./sums.ts";

const residualProgram = programs((element: "vec4f" | "f32") =>
  program({
    name: `residual.${element}`,
    reads: { x: element, y: element },
    writes: { sum: element },
    uniforms: { size: "u32", repeated: "u32", inner: "u32" },
    code: eachIndex(
      "uniforms.size",
      `  sum[i] = x[i] + y[i / uniforms.repeated * uniforms.inner + i % uniforms.inner];`,
    ),
  }),
);

/** One pass over x, y staying where it is. */
export const residualWebGpu: Kernel<ResidualCall> = kernel(residualOperation, {
  name: "residual.f32.webgpu",
  backend: "webgpu",
  unsupported: (call) =>
    repetitionOf(call) ? [] : ["y is repeated along dimensions that do not lie together"],
  needs: [],
  forward(call) {
    const { x, y } = call;
    const { repeats, inner } = repetitionOf(call)!;
    const sum = output(x.shape);
    const values = inner % 4 === 0 ? 4 : 1;
    const size = sum.size / values;
    run(residualProgram(values === 4 ? "vec4f" : "f32"), {
      buffers: { x, y, sum },
      uniforms: { size, repeated: (repeats * inner) / values, inner: inner / values },
      groups: eachGroups(size),
    });
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
