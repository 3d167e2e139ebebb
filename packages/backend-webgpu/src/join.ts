import type { Tensor } from "@tensorflow/tfjs-core";
import { EACH, eachGroups, eachIndex, program } from "./program.ts";
import { output, run } from "./run.ts";

const joinProgram = program({
  name: "join.f32",
  reads: { x: "f32" },
  writes: { y: "f32" },
  uniforms: { size: "u32", begin: "u32" },
  code: eachIndex("uniforms.size", "  y[uniforms.begin + i] = x[i];"),
});

/** The values of tensors one behind the other. */
export function joined(tensors: readonly Tensor[], shape: readonly number[]): Tensor {
  const y = output(shape);
  let begin = 0;
  for (const x of tensors) {
    const from = begin;
    run(joinProgram, {
      buffers: { x, y },
      uniforms: { size: x.size, begin },
      groups: eachGroups(x.size),
      shares: {
        x: EACH,
        y: ({ first: [first], end: [end] }) => [from + first * EACH, from + Math.min(end * EACH, x.size)],
      },
    });
    begin += x.size;
  }
  return y;
}
