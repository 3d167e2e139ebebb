import {
  drawParameter,
  expectGradients,
  layerNormCases,
  rmsNormCases,
  testKernel,
  useBackend,
  wasmVariants,
} from "@heddle/conformance";
import {
  activeBackend,
  differentiate,
  layerNorm,
  layerNormOperation,
  rmsNorm,
  rmsNormOperation,
} from "@heddle/core";
import * as tf from "@tensorflow/tfjs-core";
import { describe, expect, it } from "vitest";
import { layerNormWasm, rmsNormWasm } from "./norms.ts";
import { wasm } from "./wasm.ts";

describe.each(wasmVariants)("norms on wasm %j", (options) => {
  useBackend(wasm(options));
  testKernel(layerNormOperation, layerNormWasm, layerNormCases);
  testKernel(rmsNormOperation, rmsNormWasm, rmsNormCases);

  it("have the gradients that differences give", async () => {
    const [x, residual, weight, bias] = [
      drawParameter("x", [19, 13]),
      drawParameter("residual", [19, 13]),
      drawParameter("weight", [13]),
      drawParameter("bias", [13]),
    ];
    const call = () => ({ x: x.tensor(), weight: weight.tensor() });
    const both = () => ({ ...call(), residual: residual.tensor() });
    await expectGradients(() => layerNorm({ ...call(), bias: bias.tensor() }), [x, weight, bias]);
    await expectGradients(() => layerNorm({ ...both(), bias: bias.tensor() }), [x, residual, weight, bias]);
    await expectGradients(() => rmsNorm(call()), [x, weight]);
    await expectGradients(() => rmsNorm(both()), [residual, weight]);
    await expectGradients(() => rmsNorm({ ...call(), residual: x.tensor() }), [x, weight]);
    for (const parameter of [x, residual, weight, bias]) parameter.dispose();
  });

  it("have gradients where rows are empty, and their bytes are counted", () => {
    const [x, weight] = [tf.ones([3, 0]), tf.ones([0])];
    for (const norm of [() => layerNorm({ x, weight, bias: weight }), () => rmsNorm({ x, weight })]) {
      const { value, gradients } = differentiate(norm, [x, weight]);
      expect([value, ...gradients].map((tensor) => tensor!.shape)).toEqual([[3, 0], [3, 0], [0]]);
      tf.dispose([value, ...gradients.map((gradient) => gradient!)]);
      expect(activeBackend()!.memory().bytes).toBe(0);
    }
    tf.dispose([x, weight]);
  });
});
