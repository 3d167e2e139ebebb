import { layerDispatches, useBackend } from "@heddle/conformance";
import { createWeights } from "@heddle/core";
import { rotary } from "@heddle/positions";
import { describe, expect, it } from "vitest";
import { bert } from "./bert/bert.ts";
import { gpt } from "./gpt/gpt.ts";

const size = { vocabularySize: 40, maxLength: 16, width: 32, heads: 4 } as const;

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
    expect(await layerDispatches(model)).toBe(dispatches);
  });
});
