import { activationCases, testKernel, useBackend } from "@heddle/conformance";
import { activation, activationOperation } from "@heddle/core";
import * as tf from "@tensorflow/tfjs-core";
import { describe, expect, it } from "vitest";
import { activationWebGpu } from "./activation.ts";

describe("activation on webgpu", () => {
  useBackend("webgpu");
  testKernel(activationOperation, activationWebGpu, activationCases);

  it.each(["gelu", "gelu_new", "relu", "silu", "tanh"] as const)("%s is finite far out", async (kind) => {
    const x = tf.tensor1d([-1e30, -1e4, -100, 100, 1e4, 1e18]);
    const y = activation({ x, kind });
    const bounded = kind === "tanh";
    const values = [...(await y.data())];
    const negative = bounded ? -1 : 0;
    for (const value of values.slice(0, 3)) expect(value).toBeCloseTo(negative, 5);
    for (const [i, expected] of [100, 1e4, 1e18].entries())
      expect(values[3 + i]! / (bounded ? 1 : expected)).toBeCloseTo(1, 5);
    tf.dispose([x, y]);
  });
});
