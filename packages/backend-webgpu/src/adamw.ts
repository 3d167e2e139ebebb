import { adamwOperation, kernel } from "@heddle/core";
import type { AdamWCall, Kernel } from "@heddle/core";
import * as tf from "@tensorflow/tfjs-core";
import type { Tensor } from "@tensorflow/tfjs-core";
import { EACH, eachGroups, eachIndex, program, programs } from "./program.ts";
import { output, run } from "./run.ts";

/** Which of the three are written over; the old ones of the others lie apart. */
interface Variant {
  readonly type: "f32" | "vec4f";
  readonly value: boolean;
  readonly mean: boolean;
  readonly square: boolean;
}

const adamwProgram = programs(({ type, ...inPlace }: Variant) =>
  program({
    name: `adamwStep.${type}`,
    reads: {
      gradient: type,
      old_value: inPlace.value ? undefined : type,
      old_mean: inPlace.mean ? undefined : type,
      old_square: inPlace.square ? undefined : type,
    },
    writes: { value: type, mean: type, square: type },
    uniforms: {
      size: "u32",
      mean_kept: "f32",
      mean_added: "f32",
      square_kept: "f32",
      square_added: "f32",
      root_scale: "f32",
      epsilon: "f32",
      rate: "f32",
      value_kept: "f32",
    },
    code: eachIndex(
      "uniforms.size",
      `  let g = gradient[i];
  let m = uniforms.mean_kept * ${inPlace.mean ? "mean" : "old_mean"}[i] + uniforms.mean_added * g;
  let s = uniforms.square_kept * ${inPlace.square ? "square" : "old_square"}[i] + uniforms.square_added * g * g;
  mean[i] = m;
  square[i] = s;
  let root = sqrt(s) * uniforms.root_scale + uniforms.epsilon;
  value[i] = uniforms.value_kept * ${inPlace.value ? "value" : "old_value"}[i] - uniforms.rate * m / root;`,
    ),
  }),
);

/** One pass over value, gradient and both moments, which it overwrites where they are given up. */
export const adamwWebGpu: Kernel<AdamWCall, Tensor[]> = kernel(adamwOperation, {
  name: "adamwStep.f32.webgpu",
  backend: "webgpu",
  unsupported: () => [],
  needs: [],
  forward({ value, gradient, mean, square, step, inPlace = false, ...rates }) {
    const { learningRate, beta1, beta2, epsilon, weightDecay } = rates;
    // Once a clone is made, the memory has two holders.
    const isGivenUp = ({ dataId }: Tensor): boolean => inPlace && tf.backend().refCount(dataId) === 1;
    const over = { value: isGivenUp(value), mean: isGivenUp(mean), square: isGivenUp(square) };
    const next = {
      value: over.value ? tf.clone(value) : output(value.shape),
      mean: over.mean ? tf.clone(mean) : output(mean.shape),
      square: over.square ? tf.clone(square) : output(square.shape),
    };
    const per = value.size % 4 === 0 ? 4 : 1;
    const adamw = adamwProgram({ type: per === 4 ? "vec4f" : "f32", ...over });
    const size = value.size / per;
    const each = EACH * per;
    run(adamw, {
      buffers: { gradient, old_value: value, old_mean: mean, old_square: square, ...next },
      uniforms: {
        size,
        mean_kept: beta1,
        mean_added: 1 - beta1,
        square_kept: beta2,
        square_added: 1 - beta2,
        root_scale: 1 / Math.sqrt(1 - beta2 ** step),
        epsilon,
        rate: learningRate / (1 - beta1 ** step),
        value_kept: 1 - learningRate * weightDecay,
      },
      groups: eachGroups(size),
      shares: {
        gradient: each,
        old_value: each,
        old_mean: each,
        old_square: each,
        value: each,
        mean: each,
        square: each,
      },
    });
    return { output: [next.value, next.mean, next.square] };
  },
});
