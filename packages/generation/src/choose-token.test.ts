import { chooseTokenCases, useBackend } from "@heddle/conformance";
import { chooseToken, randomStream } from "@heddle/core";
import type { ChooseTokenCall } from "@heddle/core";
import * as tf from "@tensorflow/tfjs-core";
import { describe, expect, it } from "vitest";
import { greedyToken, processLogits, sampleToken } from "./sampling.ts";

/** What the functions over one row's logits choose. */
function expected({ logits, idsBelow, draw }: ChooseTokenCall): number[] {
  const [batch, vocabulary] = logits.shape as [number, number];
  const values = logits.dataSync<"float32">();
  return Array.from({ length: batch }, (_, row) => {
    const all = values.slice(row * vocabulary, (row + 1) * vocabulary);
    if (!all.every(Number.isFinite)) return -1;
    const allowed = all.subarray(0, idsBelow ?? vocabulary);
    if (!draw) return greedyToken(allowed);
    const { temperature, topK, places } = draw;
    const kept = processLogits(allowed, [], { temperature, ...(topK !== undefined && { topK }) });
    return sampleToken(kept, places[row]!);
  });
}

describe.each(["cpu", "wasm"] as const)("chooseToken on %s", (backend) => {
  useBackend(backend);

  it.each(chooseTokenCases)("chooses what the sampling functions choose: $name", async ({ make }) => {
    const call = make();
    const ids = chooseToken(call);
    expect(ids.dtype).toBe("int32");
    expect([...(await ids.data())]).toEqual(expected(call));
    tf.dispose([call.logits, ids]);
  });

  it("takes the greatest at a temperature that is no number of 32 bits", async () => {
    const logits = tf.tensor2d([0, 1, 5, 2], [1, 4]);
    const ids = chooseToken({ logits, draw: { temperature: 1e-50, places: [0.7] } });
    expect([...(await ids.data())]).toEqual([2]);
    tf.dispose([logits, ids]);
  });

  it("draws as often as the probabilities say", async () => {
    const rows = 4000;
    const logits = Float32Array.from({ length: rows * 4 }, (_, i) => Math.log([1, 2, 3, 4][i % 4]!));
    const places = Array.from({ length: rows }, (_, row) => randomStream({ seed: 1 }).uniform(row));
    const all = tf.tensor2d(logits, [rows, 4]);
    const ids = chooseToken({ logits: all, draw: { temperature: 1, topK: 3, places } });
    const counts = [0, 0, 0, 0];
    for (const id of await ids.data()) counts[id]!++;
    expect(counts[0]).toBe(0);
    for (const id of [1, 2, 3]) expect(counts[id]! / rows).toBeCloseTo((id + 1) / 9, 1);
    tf.dispose([all, ids]);
  });

  it.each<[Partial<ChooseTokenCall>, string]>([
    [{ idsBelow: 4 }, "chooseToken: idsBelow must be an integer from 1 to 3, got 4"],
    [{ draw: { temperature: 0, places: [0, 0] } }, "chooseToken: temperature must be above 0, got 0"],
    [
      { draw: { temperature: 1, topK: 0, places: [0, 0] } },
      "chooseToken: topK must be an integer >= 1, got 0",
    ],
    [
      { draw: { temperature: 1, places: [0] } },
      "chooseToken: places must hold 2 numbers, one a row, got [0]",
    ],
    [
      { draw: { temperature: 1, places: [0, 1] } },
      "chooseToken: places must be at least 0 and below 1, got 1",
    ],
  ])("refuses %j", (options, message) => {
    expect(() => tf.tidy(() => chooseToken({ logits: tf.ones([2, 3]), ...options }))).toThrow(message);
  });

  it.each([
    [[3], "chooseToken: logits must have shape [any, any], got [3]"],
    [[2, 0], "chooseToken: logits must have at least one id, got [2,0]"],
  ])("refuses logits of shape %j", (shape, message) => {
    expect(() => tf.tidy(() => chooseToken({ logits: tf.ones(shape) }))).toThrow(message);
  });
});
