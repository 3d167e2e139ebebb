import {
  drawParameter,
  expectGradients,
  matmulCases,
  testKernel,
  useBackend,
  wasmVariants,
} from "@heddle/conformance";
import { explain, matmul, matmulOperation } from "@heddle/core";
import * as tf from "@tensorflow/tfjs-core";
import { describe, expect, it } from "vitest";
import { matmulWasm } from "./matmul.ts";
import { wasm } from "./wasm.ts";

describe.each(wasmVariants)("matmul on wasm %j", (options) => {
  useBackend(wasm(options));
  testKernel(matmulOperation, matmulWasm, matmulCases);

  it("leaves matrices without values to the reference", () => {
    tf.tidy(() => {
      const call = { a: tf.zeros([2, 0]), b: tf.zeros([0, 3]) };
      expect(explain(matmulOperation, call).refused).toEqual([
        { kernel: "matmul.f32.wasm.panels", reasons: ["a matrix has no values"] },
      ]);
    });
  });

  it.each([
    [false, false],
    [false, true],
    [true, false],
    [true, true],
  ])("transposed %s, %s: the gradients that differences give", async (transposeA, transposeB) => {
    const a = drawParameter("a", transposeA ? [2, 5, 3] : [2, 3, 5]);
    const b = drawParameter("b", transposeB ? [2, 4, 5] : [2, 5, 4]);
    await expectGradients(() => matmul({ a: a.tensor(), b: b.tensor(), transposeA, transposeB }), [a, b]);
    a.dispose();
    b.dispose();
  });
});
