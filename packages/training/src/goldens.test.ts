import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";
import * as tf from "@tensorflow/tfjs-core";
import type { Tensor } from "@tensorflow/tfjs-core";
import { largestDifference, readGolden, useBackend } from "@heddle/conformance";
import { createParameter } from "@heddle/core";
import { describe, expect, it } from "vitest";
import { clipFactor, globalNorm } from "./gradients.ts";
import { adamw } from "./index.ts";
import { applyGradients, disposeState } from "./run-state.ts";
import type { OptimizerState } from "./run-state.ts";

const core = createRequire(import.meta.url).resolve("@heddle/core/package.json");
const url = new URL("src/operations/goldens/operations.safetensors", pathToFileURL(core));

describe.each(["cpu", "wasm"] as const)("PyTorch on %s", (backend) => {
  useBackend(backend);

  it.each(["adamw", "adamw-plain"])("%s: five changes as torch.optim.AdamW", async (name) => {
    const golden = await readGolden(url);
    const options = (golden.info["options"] as Record<string, Record<string, number>>)[name]!;
    const { learningRate, beta1, beta2, epsilon, weightDecay } = options;
    const parameter = createParameter("p", [3, 5], () => golden.floats(`${name}/input/parameter`));
    const optimizer = adamw({ learningRate: learningRate!, beta1, beta2, epsilon, weightDecay });
    const state: OptimizerState = new Map();
    const differ = async (tensor: Tensor, path: string): Promise<number> =>
      largestDifference(await tensor.data(), golden.floats(`${name}/output/${path}`));
    for (let step = 1; step <= 5; step++) {
      const gradient = tf.tensor(golden.floats(`${name}/input/gradient.${step}`), [3, 5]);
      applyGradients(optimizer, state, [parameter], [gradient], {
        factor: 1,
        learningRate: optimizer.learningRate.at(step),
      });
      gradient.dispose();
      expect(await differ(parameter.tensor(), `parameter.${step}`)).toBeLessThan(1e-6);
    }
    const { moments, updates } = state.get("p")!;
    expect(updates).toBe(5);
    expect(await differ(moments[0]!, "firstMoment.5")).toBeLessThan(1e-6);
    expect(await differ(moments[1]!, "secondMoment.5")).toBeLessThan(1e-6);
    disposeState(state);
    parameter.dispose();
  });

  it.each(["clip-norm", "clip-norm-below"])("%s: as torch.nn.utils.clip_grad_norm_", async (name) => {
    const golden = await readGolden(url);
    const { maxNorm } = (golden.info["options"] as Record<string, Record<string, number>>)[name]!;
    const gradients = [0, 1, 2].map((i) => {
      const path = `${name}/input/gradient.${i}`;
      return tf.tensor(golden.floats(path), [...golden.tensor(path).shape]);
    });
    const norm = tf.tidy(() => globalNorm(gradients));
    const value = (await norm.data())[0]!;
    expect(value).toBeCloseTo(golden.floats(`${name}/output/norm`)[0]!, 5);
    for (const [i, gradient] of gradients.entries()) {
      const clipped = tf.mul(gradient, clipFactor(value, maxNorm));
      expect(
        largestDifference(await clipped.data(), golden.floats(`${name}/output/gradient.${i}`)),
      ).toBeLessThan(1e-6);
      clipped.dispose();
    }
    tf.dispose([norm, ...gradients]);
  });
});

describe("globalNorm", () => {
  useBackend("wasm");

  it("does not lose small squares in a long sum", async () => {
    const gradient = tf.tidy(() => tf.mul(tf.ones([1024, 8192]), 1e-3));
    const norm = tf.tidy(() => globalNorm([gradient]));
    expect((await norm.data())[0]).toBeCloseTo(1e-3 * Math.sqrt(1024 * 8192), 3);
    tf.dispose([gradient, norm]);
  });
});
