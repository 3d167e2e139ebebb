import { drawParameter, expectGradients, matmulCases, testKernel, useBackend } from "@heddle/conformance";
import { differentiate, explain, matmul, matmulOperation } from "@heddle/core";
import * as tf from "@tensorflow/tfjs-core";
import { describe, expect, it } from "vitest";
import { matmulWebGpu } from "./matmul.ts";

describe("matmul on webgpu", () => {
  useBackend("webgpu");
  testKernel(matmulOperation, matmulWebGpu, matmulCases);

  it("comes with the backend, also for matrices without values", async () => {
    const [a, b] = [tf.zeros([2, 0]), tf.zeros([0, 3])];
    expect(explain(matmulOperation, { a, b }).kernel).toBe("matmul.f32.webgpu.tiles");
    // Tensors take memory that was in use before.
    tf.dispose(tf.ones([2, 3]));
    const { value, gradients } = differentiate(() => matmul({ a, b }), [a, b]);
    expect([...(await value.data())]).toEqual([0, 0, 0, 0, 0, 0]);
    expect(gradients.map((gradient) => gradient!.shape)).toEqual([
      [2, 0],
      [0, 3],
    ]);
    tf.dispose([a, b, value, ...gradients.map((gradient) => gradient!)]);
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
