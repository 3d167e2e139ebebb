import {
  crossEntropyCases,
  drawParameter,
  expectGradients,
  largestDifference,
  testKernel,
  useBackend,
  wasmVariants,
} from "@heddle/conformance";
import { crossEntropy, crossEntropyOperation, differentiate } from "@heddle/core";
import * as tf from "@tensorflow/tfjs-core";
import { describe, expect, it } from "vitest";
import { crossEntropyWasm } from "./cross-entropy.ts";
import { wasm } from "./wasm.ts";

describe.each(wasmVariants)("crossEntropy on wasm %j", (options) => {
  useBackend(wasm(options));
  testKernel(crossEntropyOperation, crossEntropyWasm, crossEntropyCases);

  it("has the gradient that differences give", async () => {
    const logits = drawParameter("logits", [4, 13]);
    const labels = Int32Array.of(12, -100, 0, 5);
    for (const labelSmoothing of [0, 0.3])
      for (const reduction of ["mean", "sum"] as const)
        await expectGradients(
          () => crossEntropy({ logits: logits.tensor(), labels, labelSmoothing, reduction }),
          [logits],
        );
    logits.dispose();
  });

  it("keeps no copy of the logits for its gradient", () => {
    const logits = tf.zeros([16, 5000]);
    const before = tf.memory().numDataBuffers;
    let kept = 0;
    const { value, gradients } = differentiate(() => {
      const loss = crossEntropy({ logits, labels: new Int32Array(16) });
      kept = tf.memory().numDataBuffers - before;
      return loss;
    }, [logits]);
    // The loss, two numbers a row, the labels.
    expect(kept).toBe(3);
    tf.dispose([logits, value, gradients[0]!]);
  });

  it("is NaN where a logit is, and where the greatest is infinite", async () => {
    for (const bad of [NaN, Infinity]) {
      const loss = tf.tidy(() =>
        crossEntropy({ logits: tf.tensor2d([[0, bad, 1, 2, 3, 4, 5, 6, 7, 8]]), labels: Int32Array.of(9) }),
      );
      expect(await loss.data()).toEqual(Float32Array.of(NaN));
      loss.dispose();
    }
  });

  it("gives log V for equal logits over a large vocabulary", async () => {
    const loss = tf.tidy(() =>
      crossEntropy({
        logits: tf.neg(tf.ones([2, 50257])),
        labels: Int32Array.of(0, 50256),
        labelSmoothing: 0.1,
      }),
    );
    expect(largestDifference(await loss.data(), [Math.log(50257)])).toBeLessThan(1e-6);
    loss.dispose();
  });
});
