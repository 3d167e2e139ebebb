import {
  drawn,
  drawParameter,
  expectGradients,
  sliceCases,
  testKernel,
  transposeCases,
  useBackend,
} from "@heddle/conformance";
import { slice, sliceOperation, transpose, transposeOperation } from "@heddle/core";
import * as tf from "@tensorflow/tfjs-core";
import { describe, it } from "vitest";
import { sliceWebGpu, transposeWebGpu } from "./shape.ts";

describe("shapes on webgpu", () => {
  useBackend("webgpu");
  testKernel(
    transposeOperation,
    transposeWebGpu,
    [
      ...transposeCases,
      {
        name: "squares of 4, more and fewer than a group has",
        make: () => ({ x: drawn("x", [3, 68, 20]), order: [0, 2, 1] }),
      },
      {
        name: "an order that is no swap",
        supported: false,
        make: () => ({ x: tf.ones([2, 3, 4]), order: [2, 1, 0] }),
      },
    ],
    { forward: 0, gradient: 0 },
  );
  testKernel(sliceOperation, sliceWebGpu, sliceCases, { forward: 0, gradient: 0 });

  it("have the gradients that differences give", async () => {
    const x = drawParameter("x", [2, 5, 3, 4]);
    await expectGradients(() => transpose(x.tensor(), [0, 2, 1, 3]), [x]);
    await expectGradients(() => slice({ x: x.tensor(), axis: 1, begin: 1, size: 3 }), [x]);
    x.dispose();
  });
});
