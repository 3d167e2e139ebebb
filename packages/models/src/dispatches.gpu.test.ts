import { layerDispatches, useBackend } from "@heddle/conformance";
import { createWeights } from "@heddle/core";
import { describe, expect, it } from "vitest";
import { bert } from "./bert/bert.ts";
import { gpt } from "./gpt/gpt.ts";

const size = { vocabularySize: 40, maxLength: 16, width: 32, heads: 4 } as const;

describe("a layer on webgpu", () => {
  useBackend("webgpu");

  it.each([
    ["bert", (layers: number) => bert({ ...size, layers }, createWeights({ seed: 1 }))],
    ["gpt", (layers: number) => gpt({ ...size, layers }, createWeights({ seed: 1 }))],
  ])("of %s takes at most 8 dispatches in inference", async (_, model) => {
    const dispatches = await layerDispatches(model);
    expect(dispatches).toBeLessThanOrEqual(8);
    expect(dispatches).toBeGreaterThan(0);
  });
});
