import { kernel, repetitionOf, residualOperation } from "@heddle/core";
import type { Kernel, ResidualCall } from "@heddle/core";
import * as tf from "@tensorflow/tfjs-core";
import type { Tensor } from "@tensorflow/tfjs-core";
import { EACH, eachGroups, eachIndex, program, programs } from "./program.ts";
import { output, run } from "./run.ts";
import { rowSums } from "./sums.ts";

interface CombineVariant {
  readonly sign: "+" | "*";
  readonly element: "vec4f" | "f32";
  /** Whether y is shorter than x. */
  readonly isRepeated: boolean;
}

const combineProgram = programs(({ sign, element, isRepeated }: CombineVariant) =>
  program({
    name: `${sign === "+" ? "residual" : "multiply"}.${element}`,
    reads: { x: element, y: element },
    writes: { result: element },
    uniforms: { size: "u32", repeated: "u32", inner: "u32" },
    code: eachIndex(
      "uniforms.size",
      `  result[i] = x[i] ${sign} y[${isRepeated ? "i / uniforms.repeated * uniforms.inner + i % uniforms.inner" : "i"}];`,
    ),
  }),
);

/** How y is repeated in x. */
interface Repeats {
  /** How many times each run of values follows itself. */
  readonly repeats: number;
  /** Values of a run. */
  readonly inner: number;
}

/** x + y or x * y. */
export function combine(
  sign: CombineVariant["sign"],
  x: Tensor,
  y: Tensor,
  { repeats, inner }: Repeats = { repeats: 1, inner: x.size },
): Tensor {
  const result = output(x.shape);
  const per = inner % 4 === 0 ? 4 : 1;
  const size = result.size / per;
  const each = EACH * per;
  run(combineProgram({ sign, element: per === 4 ? "vec4f" : "f32", isRepeated: repeats > 1 }), {
    buffers: { x, y, result },
    uniforms: { size, repeated: (repeats * inner) / per, inner: inner / per },
    groups: eachGroups(size),
    shares: { x: each, result: each, ...(repeats === 1 && { y: each }) },
  });
  return result;
}

/** One pass over x, y staying where it is. */
export const residualWebGpu: Kernel<ResidualCall> = kernel(residualOperation, {
  name: "residual.f32.webgpu",
  backend: "webgpu",
  unsupported: (call) =>
    repetitionOf(call) ? [] : ["y is repeated along dimensions that do not lie together"],
  needs: [],
  forward: (call) => ({ output: combine("+", call.x, call.y, repetitionOf(call)!) }),
  gradient: ({ call, dy }) => ({
    x: () => dy,
    y: () => {
      const { outer, repeats, inner } = repetitionOf(call)!;
      return repeats === 1 ? tf.reshape(dy, call.y.shape) : rowSums(dy, outer, inner, call.y.shape);
    },
  }),
});
