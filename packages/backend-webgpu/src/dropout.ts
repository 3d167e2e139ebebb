import { dropoutOperation, kernel } from "@heddle/core";
import type { DropoutCall, Kernel } from "@heddle/core";
import type { Tensor } from "@tensorflow/tfjs-core";
import { EACH, eachGroups, eachIndex, program, programs } from "./program.ts";
import { output, run } from "./run.ts";
import { dropoutKey, dropoutUniforms, dropoutValues, dropoutWgsl } from "./random.ts";

interface DropoutVariant {
  /** Which values are kept is drawn, drawn and noted for the gradient, or as it was noted. */
  readonly mask: "drawn" | "noted" | "given";
  /** 4 divides the values: they are read and written as vectors. */
  readonly vectors: boolean;
}

/** An invocation has four values: both words of two counters, and one word of the mask. */
const dropoutProgram = programs(({ mask, vectors }: DropoutVariant) => {
  const element = vectors ? "vec4f" : "f32";
  const isKept =
    mask === "given"
      ? "(vec4u(given[i]) & bits) != vec4u()"
      : `vec4u(threefry(key, vec2u(2 * i, 0)), threefry(key, vec2u(2 * i + 1, 0))) >= vec4u(uniforms.dropoutLimit)`;
  const write = vectors
    ? ["y[i] = x[i] * factors;"]
    : [0, 1, 2, 3].map(
        (k) => `if (4 * i + ${k} < uniforms.size) { y[4 * i + ${k}] = x[4 * i + ${k}] * factors[${k}]; }`,
      );
  return program({
    name: `dropout.f32.${mask}${vectors ? ".vec4" : ""}`,
    reads: { x: element, given: mask === "given" ? "u32" : undefined },
    writes: { y: element, noted: mask === "noted" ? "u32" : undefined },
    uniforms: { size: "u32", ...dropoutUniforms },
    code: `${dropoutWgsl}
const bits = vec4u(1, 2, 4, 8);${eachIndex(
      "(uniforms.size + 3) / 4",
      `  let key = ${dropoutKey};
  let is_kept = ${isKept};
  let factors = select(vec4f(), vec4f(uniforms.dropoutKept), is_kept);
  ${write.join("\n  ")}
  ${mask === "noted" ? "let own = select(vec4u(), bits, is_kept);\n  noted[i] = (own.x | own.y) | (own.z | own.w);" : ""}`,
    )}`,
  });
});

/** x with values dropped. */
function drop(
  x: Tensor,
  { rate, address }: DropoutCall,
  { mask, given, noted }: { mask: DropoutVariant["mask"]; given?: Tensor; noted?: Tensor },
): Tensor {
  const y = output(x.shape);
  run(dropoutProgram({ mask, vectors: x.size % 4 === 0 }), {
    buffers: { x, given, y, noted },
    uniforms: { size: x.size, ...dropoutValues(rate, address) },
    groups: eachGroups(Math.ceil(x.size / 4)),
    shares: { x: 4 * EACH, given: EACH, y: 4 * EACH, noted: EACH },
  });
  return y;
}

/** What is noted for the gradient takes a quarter of the values' memory: reading it costs less than drawing again. */
export const dropoutWebGpu: Kernel<DropoutCall> = kernel(dropoutOperation, {
  name: "dropout.f32.webgpu",
  backend: "webgpu",
  unsupported: () => [],
  needs: [],
  forward(call, { differentiating }) {
    if (!differentiating) return { output: drop(call.x, call, { mask: "drawn" }) };
    const noted = output([Math.ceil(call.x.size / 4)], "int32");
    return { output: drop(call.x, call, { mask: "noted", noted }), saved: [noted] };
  },
  gradient: ({ call, saved: [given], dy }) => ({ x: () => drop(dy, call, { mask: "given", given: given! }) }),
});
