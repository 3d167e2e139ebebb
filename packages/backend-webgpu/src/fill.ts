import type { Tensor } from "@tensorflow/tfjs-core";
import { EACH, eachGroups, eachIndex, program, programs } from "./program.ts";
import { output, run } from "./run.ts";

const fillProgram = programs((type: "f32" | "i32") =>
  program({
    name: `fill.${type}`,
    reads: {},
    writes: { y: type },
    uniforms: { size: "u32", value: type },
    code: eachIndex("uniforms.size", "  y[i] = uniforms.value;"),
  }),
);

/** A new tensor with one value everywhere. */
export function filled(
  shape: readonly number[],
  value: number,
  dtype: "float32" | "int32" = "float32",
): Tensor {
  const y = output(shape, dtype);
  run(fillProgram(dtype === "float32" ? "f32" : "i32"), {
    buffers: { y },
    uniforms: { size: y.size, value },
    groups: eachGroups(y.size),
    shares: { y: EACH },
  });
  return y;
}
