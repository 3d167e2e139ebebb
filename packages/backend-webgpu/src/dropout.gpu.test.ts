import { drawParameter, dropoutCases, expectGradients, testKernel, useBackend } from "@heddle/conformance";
import { dropout, dropoutOperation, randomStream, run } from "@heddle/core";
import * as tf from "@tensorflow/tfjs-core";
import { describe, expect, it } from "vitest";
import { dropoutWebGpu } from "./dropout.ts";

describe("dropout on webgpu", () => {
  useBackend("webgpu");
  testKernel(dropoutOperation, dropoutWebGpu, dropoutCases, { forward: 0, gradient: 0 });

  it("drops where a number is below the rate, to the last bit of it", async () => {
    const address = { seed: 3, path: "p", step: 1 };
    const draws = [...randomStream(address).uniforms(16)];
    for (const draw of draws)
      for (const rate of [draw, draw + 2 ** -25]) {
        const y = tf.tidy(() => run(dropoutOperation, { x: tf.ones([16]), rate, address }));
        expect([...(await y.data())].map((value) => value === 0)).toEqual(draws.map((d) => d < rate));
        y.dispose();
      }
  });

  it("has the gradient that differences give", async () => {
    const x = drawParameter("x", [4, 11]);
    const address = { seed: 1, path: "p", step: 2 };
    await expectGradients(() => dropout({ x: x.tensor(), rate: 0.4, address }), [x]);
    x.dispose();
  });
});
