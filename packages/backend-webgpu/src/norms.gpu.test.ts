import {
  drawn,
  drawParameter,
  expectGradients,
  largestDifference,
  layerNormCases,
  relativeDifference,
  rmsNormCases,
  testKernel,
  useBackend,
} from "@heddle/conformance";
import {
  differentiate,
  layerNorm,
  layerNormOperation,
  rmsNorm,
  rmsNormOperation,
  withKernels,
} from "@heddle/core";
import type { LayerNormCall } from "@heddle/core";
import * as tf from "@tensorflow/tfjs-core";
import { describe, expect, it } from "vitest";
import { layerNormWebGpu, rmsNormWebGpu } from "./norms.ts";

/** More elements than a group has invocations, of one value and of four. */
const wide = [65, 131, 260, 516].map((width) => ({
  name: `width ${width}`,
  make: (): LayerNormCall => ({
    x: drawn("x", [3, width]),
    residual: drawn("residual", [3, width]),
    weight: drawn("weight", [width]),
    bias: drawn("bias", [width]),
  }),
}));

describe("norms on webgpu", () => {
  useBackend("webgpu");
  testKernel(layerNormOperation, layerNormWebGpu, [...layerNormCases, ...wide]);
  testKernel(rmsNormOperation, rmsNormWebGpu, rmsNormCases);

  it("have the gradients that differences give", async () => {
    const [x, residual, weight, bias] = [
      drawParameter("x", [19, 13]),
      drawParameter("residual", [19, 13]),
      drawParameter("weight", [13]),
      drawParameter("bias", [13]),
    ];
    const call = () => ({ x: x.tensor(), residual: residual.tensor(), weight: weight.tensor() });
    await expectGradients(() => layerNorm({ ...call(), bias: bias.tensor() }), [x, residual, weight, bias]);
    await expectGradients(() => rmsNorm(call()), [x, residual, weight]);
    await expectGradients(() => rmsNorm({ ...call(), residual: x.tensor() }), [x]);
    for (const parameter of [x, residual, weight, bias]) parameter.dispose();
  });

  it("keep their digits where the mean is far larger than the deviation", async () => {
    const width = 768;
    const values = Float32Array.from({ length: width }, (_, i) => 4096 + (((i * 37) % 64) - 31.5) / 16);
    const deviation = Math.sqrt(values.reduce((sum, v) => sum + (v - 4096) ** 2, 0) / width);
    const y = tf.tidy(() =>
      layerNorm({ x: tf.tensor2d(values, [1, width]), weight: tf.ones([width]), bias: tf.zeros([width]) }),
    );
    const expected = values.map((v) => (v - 4096) / deviation);
    expect(largestDifference(await y.data(), expected)).toBeLessThan(2e-3);
    y.dispose();
  });

  it("sum gradients over many rows, to the same bits each time", async () => {
    const make = () => {
      const [x, weight, bias] = [drawn("x", [4200, 3]), drawn("weight", [3]), drawn("bias", [3])];
      const dy = drawn("dy", x.shape);
      const { value, gradients } = differentiate(() => layerNorm({ x, weight, bias }), [x, weight, bias], dy);
      return [value, ...gradients.map((gradient) => gradient!)];
    };
    const [first, second, expected] = await Promise.all(
      [make, make, () => withKernels({ layerNorm: "layerNorm.reference" }, make)].map(async (f) => {
        const tensors = tf.tidy(f);
        const found = await Promise.all(tensors.map((tensor) => tensor.data()));
        tf.dispose(tensors);
        return found;
      }),
    );
    expect(second).toEqual(first);
    first!.forEach((values, i) => expect(relativeDifference(values, expected![i]!)).toBeLessThan(1e-4));
  });

  it("take more rows than groups along one dimension", async () => {
    const rows = 65_537;
    const y = tf.tidy(() =>
      rmsNorm({ x: tf.reshape(tf.range(1, rows + 1), [rows, 1]), weight: tf.tensor1d([3]), epsilon: 0 }),
    );
    expect((await y.data()).every((value) => Math.abs(value - 3) < 1e-5)).toBe(true);
    y.dispose();
  });

  it.each([
    [3, 0],
    [0, 6],
  ])("have gradients where there are no values: [%i, %i]", async (rows, width) => {
    const [x, weight] = [tf.ones([rows, width]), tf.ones([width])];
    for (const norm of [() => layerNorm({ x, weight, bias: weight }), () => rmsNorm({ x, weight })]) {
      const { value, gradients } = differentiate(norm, [x, weight]);
      expect([value, ...gradients].map((tensor) => tensor!.shape)).toEqual([x.shape, x.shape, [width]]);
      expect([...(await gradients[1]!.data())]).toEqual(Array.from({ length: width }, () => 0));
      tf.dispose([value, ...gradients.map((gradient) => gradient!)]);
    }
    tf.dispose([x, weight]);
  });
});
