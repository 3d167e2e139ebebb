import { full } from "@heddle/attention";
import { createWeights } from "@heddle/core";
import type { Weights } from "@heddle/core";
import { expect, it } from "vitest";
import { crossAttention } from "./cross-attention.ts";
import { embedding } from "./embedding.ts";
import { feedForward } from "./feed-forward.ts";
import { linear } from "./linear.ts";
import { layerNorm, rmsNorm } from "./norms.ts";
import { selfAttention } from "./self-attention.ts";

const misspelt = <T extends object>(spec: T): T => ({ ...spec, widht: 4 });

it.each<[string, (weights: Weights) => unknown]>([
  ["h: attention", (weights) => crossAttention(weights, misspelt({ width: 4, heads: 2 }))],
  [
    "h: attention",
    (weights) => selfAttention(weights, misspelt({ width: 4, heads: 2, attention: full(), layer: 0 })),
  ],
  ["h: wte", (weights) => embedding(weights, "wte", misspelt({ size: 3, width: 4 }))],
  ["h: feedForward", (weights) => feedForward(weights, misspelt({ width: 4 }))],
  ["h.dense", (weights) => linear(weights, "dense", misspelt({ in: 4, out: 4 }))],
  ["h: ln", (weights) => layerNorm(weights, "ln", misspelt({ width: 4 }))],
  ["h: ln", (weights) => rmsNorm(weights, "ln", misspelt({ width: 4 }))],
])("a layer refuses a misspelt option: %s", (where, build) => {
  const weights = createWeights();
  expect(() => build(weights.at("h"))).toThrow(
    new RegExp(`^${where}: options must have only the fields .+, got "widht"$`),
  );
  expect(weights.all.size).toBe(0);
});
