import {
  crossEntropyCases,
  drawn,
  drawParameter,
  expectGradients,
  largestDifference,
  testKernel,
  useBackend,
} from "@heddle/conformance";
import { crossEntropy, crossEntropyOperation, differentiate } from "@heddle/core";
import type { CrossEntropyCall } from "@heddle/core";
import * as tf from "@tensorflow/tfjs-core";
import { describe, expect, it } from "vitest";
import { crossEntropyWebGpu } from "./cross-entropy.ts";

describe("crossEntropy on webgpu", () => {
  useBackend("webgpu");
  testKernel(crossEntropyOperation, crossEntropyWebGpu, [
    ...crossEntropyCases,
    {
      name: "the greatest logit behind those of the first turn",
      make: () => ({
        logits: tf.tensor2d(
          Float32Array.from({ length: 600 }, (_, i) => (i === 500 ? 1000 : 0)),
          [1, 600],
        ),
        labels: Int32Array.of(7),
      }),
    },
  ]);

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

  it("sums more rows than a group has lanes, the same bits each time", async () => {
    const rows = 300;
    const logits = drawn("logits", [rows, 3]);
    const x = await logits.data<"float32">();
    const labels = Int32Array.from({ length: rows }, (_, row) => (row % 4 === 0 ? -100 : row % 3));
    const losses = Array.from(labels, (label, row) => {
      const own = x.slice(3 * row, 3 * row + 3);
      return label === -100 ? 0 : Math.log(own.reduce((sum, v) => sum + Math.exp(v), 0)) - own[label]!;
    });
    const found: Uint8Array[] = [];
    for (let time = 0; time < 2; time++) {
      const { value, gradients } = differentiate(() => crossEntropy({ logits, labels }), [logits]);
      expect(largestDifference(await value.data(), [losses.reduce((a, b) => a + b) / 225])).toBeLessThan(
        1e-6,
      );
      for (const tensor of [value, gradients[0]!])
        found.push(new Uint8Array((await tensor.data()).slice().buffer));
      tf.dispose([value, gradients[0]!]);
    }
    expect(found.slice(2)).toEqual(found.slice(0, 2));
    logits.dispose();
  });

  it.each([8, 10])(
    "is no finite number where one of %i logits is NaN or the greatest infinite",
    async (n) => {
      for (const bad of [NaN, Infinity]) {
        const logits = tf.tensor2d([[0, bad, ...Array.from({ length: n - 2 }, (_, i) => i)]]);
        const call = { logits, labels: Int32Array.of(n - 1) };
        const { value, gradients } = differentiate(() => crossEntropy(call), [logits]);
        expect([...(await value.data())].some(Number.isFinite)).toBe(false);
        expect([...(await gradients[0]!.data())].every(Number.isFinite)).toBe(false);
        tf.dispose([logits, value, gradients[0]!]);
      }
    },
  );

  it.each([8, 10])(
    "leaves out of %i classes those ruled out by -Infinity, unless it is smoothed",
    async (n) => {
      const logits = tf.tensor2d([
        [-Infinity, 2, ...Array.from({ length: n - 3 }, () => -Infinity), 2],
        [0, ...Array.from({ length: n - 2 }, () => -Infinity), -Infinity],
      ]);
      const call = { logits, labels: Int32Array.of(1, 0), reduction: "sum" } as const;
      const lossOf = async (over: Partial<CrossEntropyCall>): Promise<number> => {
        const loss = crossEntropy({ ...call, ...over });
        const [value] = await loss.data();
        loss.dispose();
        return value!;
      };
      expect(await lossOf({})).toBeCloseTo(Math.log(2), 6);
      expect(await lossOf({ labels: Int32Array.of(1, n - 1) })).toBe(Infinity);
      expect(await lossOf({ labelSmoothing: 0.1 })).toBe(Infinity);
      logits.dispose();
    },
  );

  it("gives log V for equal logits over a large vocabulary, and a gradient whose rows sum to 0", async () => {
    const classes = 50257;
    const logits = tf.tensor2d(new Float32Array(2 * classes).fill(-1), [2, classes]);
    const call = { logits, labels: Int32Array.of(0, classes - 1), labelSmoothing: 0.1 };
    const { value, gradients } = differentiate(() => crossEntropy(call), [logits]);
    expect(largestDifference(await value.data(), [Math.log(classes)])).toBeLessThan(2e-6);
    const slopes = await gradients[0]!.data<"float32">();
    for (const row of [0, 1]) {
      const own = slopes.slice(row * classes, (row + 1) * classes);
      expect(own[call.labels[row]!]).toBeCloseTo(-0.45, 4);
      expect(Math.abs(own.reduce((a, b) => a + b))).toBeLessThan(1e-5);
    }
    tf.dispose([logits, value, gradients[0]!]);
  });
});
