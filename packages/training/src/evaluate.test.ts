import * as tf from "@tensorflow/tfjs-core";
import { crossEntropy } from "@heddle/core";
import { useBackend } from "@heddle/conformance";
import { describe, expect, it } from "vitest";
import { TEXT, bigram } from "./bigram.fixture.ts";
import { evaluate, sequentialWindows } from "./index.ts";
import type { Batch, TokenBatch, TokenRows } from "./index.ts";

describe("evaluate", () => {
  useBackend("cpu");

  it("is the mean over all labels that count, whatever the batches", async () => {
    const model = bigram({ rate: 0.9 });
    const text = TEXT.subarray(0, 100);
    const one = await sequentialWindows(text, { length: 99, batch: 1 }).at(0);
    const { logits } = model.forward(one.inputs);
    const loss = crossEntropy({ logits: logits!, labels: one.labels });
    const expected = (await loss.data())[0]!;
    tf.dispose([logits!, loss]);
    for (const [length, batch] of [
      [99, 1],
      [8, 5],
      [10, 100],
    ] as const) {
      const found = await evaluate(model, sequentialWindows(text, { length, batch }));
      expect(found.tokens).toBe(99);
      expect(found.loss).toBeCloseTo(expected, 5);
    }
    model.dispose();
  });

  it("weights batches by the labels that count and takes lists", async () => {
    const model = bigram();
    const batch = (row: number[], labels: number[]): Batch<TokenRows> => ({
      inputs: { ids: [row] },
      labels: Int32Array.from(labels),
    });
    const [a, b] = [await evaluate(model, [batch([1], [2])]), await evaluate(model, [batch([3, 4], [5, 6])])];
    const both = await evaluate(model, [
      batch([1, 2], [2, -100]),
      batch([6], [-100]),
      batch([3, 4, 1], [5, 6, -100]),
    ]);
    expect(both.tokens).toBe(3);
    expect(both.loss).toBeCloseTo((a.loss + 2 * b.loss) / 3, 6);
    model.dispose();
  });

  it("says what is wrong, and frees everything", async () => {
    const model = bigram();
    const batch: TokenBatch = { inputs: { ids: [[1, 2]] }, labels: Int32Array.of(1, 2) };
    await expect(evaluate(model, [])).rejects.toThrow(
      "evaluate: batches: number of batches must be an integer >= 1, got 0",
    );
    await expect(evaluate(model, JSON.parse("null") as TokenBatch[])).rejects.toThrow(
      "evaluate: batches must be a list of batches, sequentialWindows(ids, { length, batch }) for example, got null",
    );
    await expect(evaluate(model, [batch], { los: () => 1 } as object)).rejects.toThrow(
      'evaluate: options must have only the fields loss, signal, got "los"',
    );
    await expect(evaluate(model, [{ ...batch, labels: [1, 2] as never }])).rejects.toThrow(
      "evaluate: labels of batch 0 must be an Int32Array, got [1,2]",
    );
    const ignored = { ...batch, labels: Int32Array.of(-100, -100) };
    await expect(evaluate(model, [ignored])).rejects.toThrow(
      "evaluate: batches must hold at least one label that counts, got 0",
    );
    await expect(evaluate(model, [batch, { ...batch, labels: Int32Array.of(1) }])).rejects.toThrow(
      "crossEntropy: labels must hold one label for each of 2 rows, got 1",
    );
    const controller = new AbortController();
    const list = {
      count: 9,
      at(index: number) {
        if (index === 2) controller.abort(new Error("enough"));
        return batch;
      },
    };
    await expect(evaluate(model, list, { signal: controller.signal })).rejects.toThrow("enough");
    model.parameter("head.bias").assign(new Float32Array(7).fill(Number.NaN));
    await expect(evaluate(model, [ignored, batch])).rejects.toThrow(
      "evaluate: loss of batch 1 must be finite, got NaN",
    );
    model.dispose();
  });
});
