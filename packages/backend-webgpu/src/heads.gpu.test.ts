import { mergeHeads, mergeHeadsOperation, splitHeads, splitHeadsOperation } from "@heddle/attention";
import {
  drawParameter,
  expectGradients,
  mergeHeadsCases,
  splitHeadsCases,
  testKernel,
  useBackend,
} from "@heddle/conformance";
import * as tf from "@tensorflow/tfjs-core";
import { describe, expect, it } from "vitest";
import { mergeHeadsWebGpu, splitHeadsWebGpu } from "./heads.ts";

describe("heads on webgpu", () => {
  useBackend("webgpu");
  testKernel(splitHeadsOperation, splitHeadsWebGpu, splitHeadsCases, { forward: 0, gradient: 0 });
  testKernel(mergeHeadsOperation, mergeHeadsWebGpu, mergeHeadsCases, { forward: 0, gradient: 0 });

  it("of one row are the same values in the same memory", () => {
    tf.tidy(() => {
      const x = tf.ones([3, 1, 8]);
      const apart = splitHeads({ x, heads: 2 });
      expect([apart.shape, apart.dataId]).toEqual([[3, 2, 1, 4], x.dataId]);
      expect(mergeHeads(apart).dataId).toBe(x.dataId);
      expect(splitHeads({ x, heads: 2, headWidth: 2 }).dataId).not.toBe(x.dataId);
    });
  });

  it("have the gradients that differences give", async () => {
    const [fused, apart] = [drawParameter("fused", [2, 5, 13]), drawParameter("apart", [2, 3, 5, 2])];
    const part = { heads: 3, headWidth: 2, begin: 4 };
    await expectGradients(() => splitHeads({ x: fused.tensor(), ...part }), [fused]);
    await expectGradients(() => mergeHeads(apart.tensor()), [apart]);
    fused.dispose();
    apart.dispose();
  });
});
