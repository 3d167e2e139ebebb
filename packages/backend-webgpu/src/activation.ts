import { activationOperation, kernel } from "@heddle/core";
import type { Activation, ActivationCall, Kernel } from "@heddle/core";
import type { Tensor } from "@tensorflow/tfjs-core";
import { EACH, eachGroups, eachIndex, program, programs } from "./program.ts";
import { output, run } from "./run.ts";

/** WGSL has no erf: Abramowitz and Stegun 7.1.26, off by 1.5e-7 at most. */
const erf = `
fn erf(x: f32) -> f32 {
  let t = 1.0 / (1.0 + 0.3275911 * abs(x));
  let p = t * (0.254829592 + t * (-0.284496736 + t * (1.421413741 + t * (-1.453152027 + t * 1.061405429))));
  return sign(x) * (1.0 - p * exp(-x * x));
}`;

/** exp of more than 88 is infinite, which WGSL leaves undefined. */
const sigmoid = `
fn sigmoid(x: f32) -> f32 { return 1.0 / (1.0 + exp(min(-x, 88.0))); }`;

const SQRT_2_OVER_PI = Math.sqrt(2 / Math.PI);
const [LINEAR, CUBIC] = [2 * SQRT_2_OVER_PI, 2 * SQRT_2_OVER_PI * 0.044715];

/** `value` and `slope` as WGSL expressions of `x`, with the functions that they call. */
const formulas: Readonly<Record<Activation, { value: string; slope: string; functions?: string }>> = {
  gelu: {
    value: "0.5 * x * (1.0 + erf(x * 0.70710678))",
    slope: "0.5 * (1.0 + erf(x * 0.70710678)) + x * 0.39894228 * exp(-0.5 * x * x)",
    functions: erf,
  },
  gelu_new: {
    value: `x * sigmoid(x * (${LINEAR} + ${CUBIC} * x * x))`,
    slope: "gelu_new_slope(x)",
    functions: `${sigmoid}
fn gelu_new_slope(x: f32) -> f32 {
  let s = sigmoid(x * (${LINEAR} + ${CUBIC} * x * x));
  return s * (1.0 + x * (1.0 - s) * (${LINEAR} + ${3 * CUBIC} * x * x));
}`,
  },
  relu: { value: "max(x, 0.0)", slope: "select(0.0, 1.0, x > 0.0)" },
  silu: {
    value: "x * sigmoid(x)",
    slope: "sigmoid(x) * (1.0 + x * (1.0 - sigmoid(x)))",
    functions: sigmoid,
  },
  // Drivers make tanh of exponentials, which overflow.
  tanh: {
    value: "tanh(clamp(x, -15.0, 15.0))",
    slope: "1.0 - tanh(clamp(x, -15.0, 15.0)) * tanh(clamp(x, -15.0, 15.0))",
  },
};

/** `fn activate(x: f32) -> f32`, the activation or its derivative; the identity where there is none. */
export function activateWgsl(kind: Activation | undefined, what: "value" | "slope" = "value"): string {
  const { functions = "", ...formula } = kind ? formulas[kind] : { value: "x", slope: "1.0" };
  return `${functions}\nfn activate(x: f32) -> f32 { return ${formula[what]}; }`;
}

/** The same of a vector. */
export const activateFour = (of: string): string =>
  `vec4f(activate(${of}.x), activate(${of}.y), activate(${of}.z), activate(${of}.w))`;

interface ActivationVariant {
  readonly kind: Activation;
  readonly backward: boolean;
  readonly element: "vec4f" | "f32";
}

const activationProgram = programs(({ kind, backward, element }: ActivationVariant) =>
  program({
    name: `activation.${element}.${kind}${backward ? ".backward" : ""}`,
    reads: { x: element, dy: backward ? element : undefined },
    writes: { y: element },
    uniforms: { size: "u32" },
    code: `${activateWgsl(kind, backward ? "slope" : "value")}${eachIndex(
      "uniforms.size",
      `  let own = x[i];
  y[i] = ${element === "f32" ? "activate(own)" : activateFour("own")}${backward ? " * dy[i]" : ""};`,
    )}`,
  }),
);

/** The activation at x, or with `dy` its derivative there times `dy`. */
export function activate(kind: Activation, x: Tensor, dy?: Tensor): Tensor {
  const y = output(x.shape);
  const per = x.size % 4 === 0 ? 4 : 1;
  const [size, each] = [x.size / per, EACH * per];
  run(activationProgram({ kind, backward: dy !== undefined, element: per === 4 ? "vec4f" : "f32" }), {
    buffers: { x, dy, y },
    uniforms: { size },
    groups: eachGroups(size),
    shares: { x: each, dy: each, y: each },
  });
  return y;
}

/** One pass over the values, forward and backward. */
export const activationWebGpu: Kernel<ActivationCall> = kernel(activationOperation, {
  name: "activation.f32.webgpu",
  backend: "webgpu",
  unsupported: () => [],
  forward: ({ x, kind }) => ({ output: activate(kind, x) }),
  gradient: ({ call: { x, kind }, dy }) => ({ x: () => activate(kind, x, dy) }),
});
