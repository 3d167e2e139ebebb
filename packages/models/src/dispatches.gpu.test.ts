import { dispatchesOf, useBackend } from "@heddle/conformance";
import { createWeights } from "@heddle/core";
import { rotary } from "@heddle/positions";
import { describe, expect, it } from "vitest";
import { bert } from "./bert/bert.ts";
import { gpt } from "./gpt/gpt.ts";
import type { Model } from "./model.ts";

const size = { vocabularySize: 40, maxLength: 16, width: 32, heads: 4 } as const;

/** Programs of a forward pass. */
async function passDispatches(model: Model): Promise<number> {
  // Packs the weights.
  model.forward({ ids: [1, 2, 3] }).dispose();
  const count = await dispatchesOf(() => model.forward({ ids: [1, 2, 3] }, { logits: "none" }).dispose());
  model.dispose();
  return count;
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
    const [one, three] = [await passDispatches(model(1)), await passDispatches(model(3))];
    expect((three - one) / 2).toBe(dispatches);
  });
});
