import { dropoutOperation, kernel } from "@heddle/core";
import type { DropoutCall, Kernel } from "@heddle/core";
import type { Tensor } from "@tensorflow/tfjs-core";
import { EACH, eachGroups, eachIndex, output, program, run } from "./program.ts";
import { dropoutKey, dropoutUniforms, dropoutValues, dropoutWgsl } from "./random.ts";

/** An invocation has both words of a counter: two values. */
const dropoutProgram = program({
  name: "dropout.f32",
  reads: { x: "f32" },
  writes: { y: "f32" },
  uniforms: { size: "u32", ...dropoutUniforms },
  code: `${dropoutWgsl}${eachIndex(
    "(uniforms.size + 1) / 2",
    `  let words = threefry(${dropoutKey}, vec2u(i, 0));
  y[2 * i] = x[2 * i] * dropout_factor(words.x);
  if (2 * i + 1 < uniforms.size) { y[2 * i + 1] = x[2 * i + 1] * dropout_factor(words.y); }`,
  )}`,
});

/** x where the stream's numbers are not below the rate, scaled; 0 elsewhere. */
function drop(x: Tensor, { rate, address }: DropoutCall): Tensor {
  const y = output(x.shape);
  run(dropoutProgram, {
    buffers: { x, y },
    uniforms: { size: x.size, ...dropoutValues(rate, address) },
    groups: eachGroups(Math.ceil(x.size / 2)),
    shares: { x: 2 * EACH, y: 2 * EACH },
  });
  return y;
}

/** Draws the numbers where they are used, and again in the gradient: no mask is kept. */
export const dropoutWebGpu: Kernel<DropoutCall> = kernel(dropoutOperation, {
  name: "dropout.f32.webgpu",
  backend: "webgpu",
  unsupported: () => [],
  needs: [],
  forward: (call) => ({ output: drop(call.x, call) }),
  gradient: ({ call, dy }) => ({ x: () => drop(dy, call) }),
});
