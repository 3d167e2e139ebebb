import {
  drawn,
  drawParameter,
  expectGradients,
  residualCases,
  testKernel,
  useBackend,
} from "@heddle/conformance";
import { residual, residualOperation } from "@heddle/core";
import * as tf from "@tensorflow/tfjs-core";
import { describe, it } from "vitest";
import { residualWebGpu } from "./residual.ts";

describe("residual on webgpu", () => {
  useBackend("webgpu");
  testKernel(
    residualOperation,
    residualWebGpu,
    [
      ...residualCases,
      {
        name: "four values at a time, repeated in the middle",
        make: () => ({ x: drawn("x", [3, 5, 4, 12]), y: drawn("y", [3, 1, 1, 12]) }),
      },
      {
        name: "y repeated along dimensions apart",
        supported: false,
        make: () => ({ x: tf.ones([2, 3, 4]), y: tf.ones([1, 3, 1]) }),
      },
    ],
    { forward: 0, gradient: 1e-6 },
  );

  it.each([[[3, 5]], [[5]], [[2, 1, 5]]])("has the gradients that differences give: %j", async (shape) => {
    const [x, y] = [drawParameter("x", [2, 3, 5]), drawParameter("y", shape)];
    await expectGradients(() => residual(x.tensor(), y.tensor()), [x, y]);
    x.dispose();
    y.dispose();
  });
});
