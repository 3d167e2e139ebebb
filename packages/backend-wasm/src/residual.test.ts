import {
  drawParameter,
  expectGradients,
  residualCases,
  testKernel,
  useBackend,
  wasmVariants,
} from "@heddle/conformance";
import { residual, residualOperation } from "@heddle/core";
import * as tf from "@tensorflow/tfjs-core";
import { describe, it } from "vitest";
import { residualWasm } from "./residual.ts";
import { wasm } from "./wasm.ts";

describe.each(wasmVariants)("residual on wasm %j", (options) => {
  useBackend(wasm(options));
  testKernel(
    residualOperation,
    residualWasm,
    [
      ...residualCases,
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
