import { useBackend } from "@heddle/conformance";
import { createWeights } from "@heddle/core";
import { gpt } from "@heddle/models";
import type { Model } from "@heddle/models";
import { relativeBias } from "@heddle/positions";
import { adamw, tokenWindows, train } from "@heddle/training";
import { describe, expect, it } from "vitest";

const small = { vocabularySize: 11, maxLength: 8, width: 8, layers: 1, heads: 2 };
const ids = Array.from({ length: 100 }, (_, i) => (i * i) % 11);

/** A GPT whose learned positions are kept beside the relative ones that it is trained with. */
function swapped(seed: number): { base: Model; model: Model } {
  const base = gpt(small, createWeights({ seed }));
  return { base, model: base.with({ position: relativeBias({ maxDistance: 4 }) }) };
}

async function run(model: Model, steps: number, directory: Map<string, Blob>): Promise<number[]> {
  const losses: number[] = [];
  for await (const { loss } of train(model, {
    batches: tokenWindows(ids, { length: 8, batch: 2, seed: 3 }),
    optimizer: adamw({ learningRate: 1e-2 }),
    steps,
    checkpoint: { directory, every: 1 },
    resume: true,
  }))
    losses.push(loss);
  return losses;
}

describe("resume of a swapped model", () => {
  useBackend("cpu");

  it("puts back what the model does not use now, and goes on to the last bit", async () => {
    const whole = swapped(1);
    const expected = await run(whole.model, 4, new Map());
    const directory = new Map<string, Blob>();
    const first = swapped(1);
    const before = await run(first.model, 2, directory);
    const kept = first.base.weights.all.get("wpe.weight")!.tensor().dataSync().slice();
    const second = swapped(2);
    const after = await run(second.model, 4, directory);
    expect([...before, ...after]).toEqual(expected);
    expect(second.base.weights.all.get("wpe.weight")!.tensor().dataSync()).toEqual(kept);
    for (const { base, model } of [whole, first, second]) {
      model.dispose();
      base.dispose();
    }
  });
});
