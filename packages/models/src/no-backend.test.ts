/** Models without `startBackend`; in a file of its own, since importing a tfjs backend registers one. */
import { createWeights } from "@heddle/core";
import { alibi } from "@heddle/positions";
import { describe, expect, it } from "vitest";
import { bert } from "./bert/bert.ts";
import { gpt } from "./gpt/gpt.ts";
import { longformer } from "./longformer/longformer.ts";

const small = { vocabularySize: 11, maxLength: 8, width: 8, layers: 2, heads: 2 };
const how = "must run on a backend, started by await startBackend(wasm()) for example, got none";

describe("without a backend", () => {
  it.each([
    ["gpt", gpt(small, createWeights())],
    ["bert", bert(small, createWeights())],
    ["longformer", longformer({ ...small, window: 2 }, createWeights())],
  ])("a pass of %s says what is missing", (family, model) => {
    const missing = { code: "invalid-state", message: `${family} ${how}` };
    expect(() => model.forward({ ids: [1, 2] })).toThrow(expect.objectContaining(missing));
  });

  it("a model is counted and described all the same", () => {
    const model = gpt(small, createWeights());
    expect(model.parameterCount()).toBe(model.parameters.reduce((sum, { size }) => sum + size, 0));
    expect(model.cacheable).toBe(true);
    const sloped = model.with({ position: alibi() });
    const missing = { code: "invalid-state", message: `gpt: cacheable ${how}` };
    expect(() => sloped.cacheable).toThrow(expect.objectContaining(missing));
  });
});
