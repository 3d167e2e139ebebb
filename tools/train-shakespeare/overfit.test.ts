import { useBackend } from "@heddle/conformance";
import { createWeights } from "@heddle/core";
import { bert, gpt } from "@heddle/models";
import type { ModelInputs } from "@heddle/models";
import { adamw, mlmBatches, tokenWindows, train } from "@heddle/training";
import type { Batch, BatchSource, Trainable } from "@heddle/training";
import { describe, expect, it } from "vitest";

const size = { vocabularySize: 12, maxLength: 16, width: 16, layers: 1, heads: 2 };

/** The losses of a run on one batch, over and over. */
async function overfit<B extends Batch<ModelInputs>>(
  model: Trainable<B["inputs"]>,
  source: BatchSource<B>,
): Promise<number[]> {
  const batch = await source.at(1, 0);
  const losses: number[] = [];
  for await (const { loss } of train(model, {
    batches: { at: () => batch },
    optimizer: adamw({ learningRate: 0.02 }),
    steps: 60,
  }))
    losses.push(loss);
  return losses;
}

describe("models learn a small set by heart", () => {
  useBackend("wasm");
  const text = Array.from({ length: 60 }, (_, i) => (i * i + (i % 7)) % 12);

  it("gpt: the next token", async () => {
    const model = gpt(size, createWeights({ seed: 1 }));
    const losses = await overfit(model, tokenWindows(text, { length: 12, batch: 2, seed: 1 }));
    expect(losses[0]).toBeCloseTo(Math.log(12), 1);
    expect(losses.at(-1)).toBeLessThan(0.1);
    model.dispose();
  });

  it("bert: the tokens that were masked", async () => {
    const model = bert(size, createWeights({ seed: 1 }));
    const rows = [0, 1, 2].map((i) => [10, ...text.slice(i * 9, i * 9 + 9 - i), 11]);
    const masked = mlmBatches(rows, {
      batch: 3,
      vocabularySize: 12,
      maskId: 9,
      specialIds: [10, 11],
      probability: 0.4,
      seed: 2,
    });
    const losses = await overfit(model, masked);
    expect(losses[0]).toBeCloseTo(Math.log(12), 1);
    expect(losses.at(-1)).toBeLessThan(0.1);
    model.dispose();
  });
});
