import { useBackend } from "@heddle/conformance";
import { createWeights } from "@heddle/core";
import { describe, expect, it } from "vitest";
import { bert } from "./bert/bert.ts";
import { bertPresets } from "./bert/presets.ts";
import { gpt } from "./gpt/gpt.ts";
import { gptPresets } from "./gpt/presets.ts";
import { longformer } from "./longformer/longformer.ts";
import { longformerPresets } from "./longformer/presets.ts";

// Building allocates nothing: the hook of useBackend would see a tensor, and XL would need 6 GB.
describe("presets have the published numbers of parameters", () => {
  useBackend("cpu");
  const encoder = { pooler: true, head: "none" } as const;

  it("GPT-2", () => {
    const counts = Object.entries(gptPresets).map(([name, preset]) => [
      name,
      gpt(preset, createWeights()).parameterCount(),
    ]);
    expect(Object.fromEntries(counts)).toEqual({
      tiny: 834_304,
      gpt2: 124_439_808,
      "gpt2-medium": 354_823_168,
      "gpt2-large": 774_030_080,
      "gpt2-xl": 1_557_611_200,
    });
  });

  it("BERT, encoder and pooler", () => {
    const counts = Object.entries(bertPresets).map(([name, preset]) => [
      name,
      bert({ ...preset, ...encoder }, createWeights()).parameterCount(),
    ]);
    expect(Object.fromEntries(counts)).toEqual({
      tiny: 4_385_920,
      mini: 11_170_560,
      small: 28_763_648,
      medium: 41_373_184,
      base: 109_482_240,
      large: 335_141_888,
    });
  });

  it("Longformer, encoder and pooler", () => {
    const counts = Object.entries(longformerPresets).map(([name, preset]) => [
      name,
      longformer({ ...preset, ...encoder }, createWeights()).parameterCount(),
    ]);
    expect(Object.fromEntries(counts)).toEqual({ base: 148_659_456, large: 434_600_960 });
  });

  it("counts a tied output layer once, and the head's own parameters", () => {
    const options = { vocabularySize: 7, maxLength: 5, width: 4, layers: 1, heads: 2 };
    const plain = bert({ ...options, head: "none" }, createWeights()).parameterCount();
    const withHead = bert(options, createWeights()).parameterCount();
    // A dense layer, its norm and one bias a word; the words' own table is there already.
    expect(withHead - plain).toBe(4 * 4 + 4 + 2 * 4 + 7);
  });
});
