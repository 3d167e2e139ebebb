import { drawn, largestDifference, linearCases, testKernel, useBackend } from "@heddle/conformance";
import { differentiate, explain, linear, linearOperation, withKernels } from "@heddle/core";
import type { LinearCall, MatrixLayout, Packing } from "@heddle/core";
import * as tf from "@tensorflow/tfjs-core";
import { describe, expect, it } from "vitest";
import { linearWebGpu } from "./linear.ts";
import { plain } from "./matrix-forms.ts";

const layouts = ["linear", "conv1d"] as const;

const weightShape = (layout: MatrixLayout, into: number, out: number): [number, number] =>
  layout === "linear" ? [out, into] : [into, out];

describe("linear on webgpu", () => {
  useBackend("webgpu");
  // A packed weight is the plain one here: those of the first shapes are enough.
  const cases = linearCases.filter(({ differentiable }, i) => differentiable || i < 12);
  testKernel(linearOperation, linearWebGpu, cases);

  it.each(layouts)("gives what the reference gives where large tiles are many: %s", async (layout) => {
    const call: LinearCall = {
      x: drawn("x", [520, 4]),
      weight: drawn("weight", weightShape(layout, 4, 504)),
      bias: drawn("bias", [504]),
      layout,
      activation: "gelu",
      residual: drawn("residual", [520, 504]),
    };
    const found = linear(call);
    const expected = withKernels({ linear: "linear.reference" }, () => linear(call));
    expect(largestDifference(await found.data(), await expected.data())).toBeLessThan(1e-5);
    tf.dispose([...Object.values(linearOperation.inputs(call)), found, expected]);
  });

  it("comes with the backend, and refuses weights that are packed elsewhere", () => {
    tf.tidy(() => {
      const [x, weight] = [tf.ones([2, 3]), tf.ones([4, 3])];
      expect(explain(linearOperation, { x, weight }).kernel).toBe("linear.f32.webgpu.tiles");
      const packed = (packing: Packing): LinearCall => ({
        x,
        weight: { kind: "packed", packing, layout: "linear", shape: [4, 3], values: weight },
      });
      expect(linearWebGpu.unsupported(packed(plain))).toEqual([]);
      expect(linearWebGpu.unsupported(packed({ ...plain, name: "f32.panels" }))).toEqual([
        "the weight is packed as f32.panels",
      ]);
    });
  });

  it.each(layouts)("has values and gradients where a width is 0, and where no row is: %s", async (layout) => {
    for (const [rows, into, out] of [
      [3, 0, 4],
      [12, 0, 4],
      [3, 4, 0],
      [0, 5, 3],
    ] as const) {
      const [x, weight] = [tf.ones([rows, into]), tf.ones(weightShape(layout, into, out))];
      const bias = tf.tensor1d(new Float32Array(out).fill(5));
      const residual = tf.tensor2d(new Float32Array(rows * out).fill(-2), [rows, out]);
      const inputs = [x, weight, bias, residual];
      // Tensors take memory that was in use before.
      tf.dispose(tf.ones(weight.shape));
      const call = { x, weight, bias, residual, layout, activation: "relu" } as const;
      const fused = linear(call);
      const { value, gradients } = differentiate(() => linear(call), inputs);
      for (const y of [fused, value]) expect([...(await y.data())]).toEqual(Array(rows * out).fill(3));
      expect(gradients.map((gradient) => gradient!.shape)).toEqual(inputs.map(({ shape }) => shape));
      expect([...(await gradients[0]!.data())]).toEqual(Array(rows * into).fill(0));
      expect([...(await gradients[1]!.data())]).toEqual(Array(into * out).fill(0));
      expect([...(await gradients[2]!.data())]).toEqual(Array(out).fill(rows));
      tf.dispose([...inputs, fused, value, ...gradients.map((gradient) => gradient!)]);
    }
  });
});
