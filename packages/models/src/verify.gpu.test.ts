import { backendStarter } from "@heddle/conformance";
import type { WeightTree } from "@heddle/core";
import * as tf from "@tensorflow/tfjs-core";
import { expect, it } from "vitest";
import { bert } from "./bert/bert.ts";
import { gpt } from "./gpt/gpt.ts";
import { verify } from "./verify.ts";

const sizes = { vocabularySize: 11, maxLength: 12, width: 8, layers: 2, heads: 2 };

it.each([
  ["an encoder", (weights: WeightTree) => bert({ ...sizes, nextSentence: true }, weights), 6],
  ["a decoder", (weights: WeightTree) => gpt(sizes, weights), 4],
] as const)("verify finds the CPU's values of %s on the device", async (_, define, count) => {
  const tensors = tf.engine().state.numTensors;
  const [cpu, webgpu] = await Promise.all([backendStarter("cpu"), backendStarter("webgpu")]);
  const ids = [
    [1, 2, 3],
    [4, 5, 6],
  ];
  const { layers, worst } = await verify(define, { seed: 1 }, { ids }, { backends: [cpu, webgpu] });
  expect(layers.length).toBe(count);
  expect(worst.difference).toBeGreaterThan(0);
  expect(worst.difference).toBeLessThan(1e-5);
  expect(tf.engine().state.numTensors).toBe(tensors);
  expect(tf.engine().backendNames()).toEqual([]);
});
