import { useBackend } from "@heddle/conformance";
import { activeBackend, createWeights } from "@heddle/core";
import { rotary } from "@heddle/positions";
import * as tf from "@tensorflow/tfjs-core";
import { describe, expect, it } from "vitest";
import { bert } from "./bert/bert.ts";
import { gpt } from "./gpt/gpt.ts";
import type { Model } from "./model.ts";

const size = { vocabularySize: 40, maxLength: 16, width: 32, heads: 4 } as const;

/** Programs that a forward pass records. */
async function dispatchesOf(model: Model): Promise<number> {
  // Packs the weights.
  model.forward({ ids: [1, 2, 3] }).dispose();
  await activeBackend()!.finish();
  const { dispatchCountInPass: before } = tf.backend() as unknown as { dispatchCountInPass: number };
  model.forward({ ids: [1, 2, 3] }, { logits: "none" }).dispose();
  const { dispatchCountInPass: after } = tf.backend() as unknown as { dispatchCountInPass: number };
  expect(before).toBe(0);
  model.dispose();
  return after;
}

describe("a layer on webgpu", () => {
  useBackend("webgpu");

  it.each([
    ["bert", 7, (layers: number) => bert({ ...size, layers }, createWeights({ seed: 1 }))],
    ["gpt", 7, (layers: number) => gpt({ ...size, layers }, createWeights({ seed: 1 }))],
    // Queries and keys are turned by one more each, which read them where the product left them.
    [
      "a rotary gpt",
      9,
      (layers: number) => gpt({ ...size, layers, position: rotary() }, createWeights({ seed: 1 })),
    ],
  ])("of %s takes %i dispatches in inference", async (_, dispatches, model) => {
    const [one, three] = [await dispatchesOf(model(1)), await dispatchesOf(model(3))];
    expect((three - one) / 2).toBe(dispatches);
  });
});
