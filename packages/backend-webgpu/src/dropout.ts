import { dropoutOperation, kernel } from "@heddle/core";
import type { DropoutCall, Kernel } from "@heddle/core";
import type { Tensor } from "@tensorflow/tfjs-core";
import { flatGroup, flatGroups, output, program, run } from "./program.ts";
import { dropoutKey, dropoutUniforms, dropoutValues, dropoutWgsl } from "./random.ts";

const SIZE = 256;

/** An invocation has both words of a counter: two values. */
const dropoutProgram = program({
  name: "dropout.f32",
  reads: { x: "f32" },
  writes: { y: "f32" },
  uniforms: { size: "u32", ...dropoutUniforms },
  code: `${dropoutWgsl}
@compute @workgroup_size(${SIZE})
fn main(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) lane: u32,
) {
  let pair = ${flatGroup} * ${SIZE} + lane;
  let i = 2 * pair;
  if (i >= uniforms.size) { return; }
  let words = threefry(${dropoutKey}, vec2u(pair, 0));
  y[i] = x[i] * dropout_factor(words.x);
  if (i + 1 < uniforms.size) { y[i + 1] = x[i + 1] * dropout_factor(words.y); }
}`,
});

/** x where the stream's numbers are not below the rate, scaled; 0 elsewhere. */
function drop(x: Tensor, { rate, address }: DropoutCall): Tensor {
  const y = output(x.shape);
  run(dropoutProgram, {
    buffers: { x, y },
    uniforms: { size: x.size, ...dropoutValues(rate, address) },
    groups: flatGroups(Math.ceil(x.size / 2 / SIZE)),
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
