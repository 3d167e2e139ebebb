import { chooseTokenCases, testKernel, useBackend } from "@heddle/conformance";
import { chooseToken, chooseTokenOperation, randomStream } from "@heddle/core";
import * as tf from "@tensorflow/tfjs-core";
import { describe, expect, it } from "vitest";
import { chooseTokenWebGpu } from "./choose-token.ts";

describe("chooseToken on webgpu", () => {
  useBackend("webgpu");
  // tfjs's own operations on this backend are no reference for what is not finite.
  const finite = chooseTokenCases.filter(({ name }) => !name.startsWith("NaN"));
  testKernel(chooseTokenOperation, chooseTokenWebGpu, finite, { forward: 0 });

  it("tells rows that are not finite", async () => {
    const row = (...values: number[]): number[] => values;
    const logits = tf.tensor2d([
      row(1, NaN, 3),
      row(1, 2, Infinity),
      row(-Infinity, 2, 1),
      row(1, 2, 3),
      row(2, 1, -NaN),
    ]);
    const all = chooseToken({ logits });
    expect([...(await all.data())]).toEqual([-1, -1, -1, 2, -1]);
    const below = chooseToken({ logits, idsBelow: 1 });
    expect([...(await below.data())]).toEqual([-1, -1, -1, 0, -1]);
    tf.dispose([logits, all, below]);
  });

  it("draws each id as often as its probability says", async () => {
    const rows = 1000;
    const logits = tf.tensor2d(
      Float32Array.from({ length: rows * 4 }, (_, i) => Math.log([1, 2, 3, 4][i % 4]!)),
      [rows, 4],
    );
    const places = Array.from({ length: rows }, (_, row) => randomStream({ seed: 1 }).uniform(row));
    const ids = chooseToken({ logits, draw: { temperature: 1, topK: 3, places } });
    const counts = [0, 0, 0, 0];
    for (const id of await ids.data()) counts[id]!++;
    expect(counts[0]).toBe(0);
    for (const id of [1, 2, 3]) expect(counts[id]! / rows).toBeCloseTo((id + 1) / 9, 1);
    tf.dispose([logits, ids]);
  });

  it("draws from a long tail of small chances, each lost beside the greatest", async () => {
    const vocabulary = 50_257;
    const places = [0.9993, 0.9995, 0.99985, 0.99999];
    const row = Float32Array.from({ length: vocabulary }, (_, id) => (id === 3 ? 18 : 0));
    const logits = tf.tensor2d(
      places.flatMap(() => [...row]),
      [places.length, vocabulary],
    );
    const ids = chooseToken({ logits, draw: { temperature: 1, places } });
    const peak = Math.exp(18);
    for (const [i, id] of (await ids.data()).entries()) {
      const expected = places[i]! * (peak + vocabulary - 1) - peak;
      // Places are 32-bit numbers, a step of which is a few ids.
      expect(Math.abs(id - expected)).toBeLessThan(1000);
    }
    tf.dispose([logits, ids]);
  });
});
