import { randomStream } from "@heddle/core";
import { describe, expect, it } from "vitest";
import { drawPlace } from "./draw-place.ts";
import { sequentialWindows, tokenWindows } from "./index.ts";
import type { TokenBatch } from "./index.ts";

const counting = Int32Array.from({ length: 23 }, (_, i) => i);

describe("tokenWindows", () => {
  const source = tokenWindows(counting, { length: 5, batch: 3, seed: 7 });

  it("gives windows with the tokens that follow, the same for the same address", async () => {
    const { inputs, labels } = await source.at(4, 1);
    expect(inputs.ids).toHaveLength(3);
    inputs.ids.forEach((row, i) => {
      expect(row).toEqual(Array.from({ length: 5 }, (_, t) => row[0]! + t));
      expect([...labels.subarray(i * 5, i * 5 + 5)]).toEqual(row.map((id) => id + 1));
    });
    expect(await tokenWindows([...counting], { length: 5, batch: 3, seed: 7 }).at(4, 1)).toEqual({
      inputs,
      labels,
    });
  });

  it("draws every place, and others for other steps, parts and seeds", async () => {
    const starts = new Set<number>();
    for (let step = 1; step <= 100; step++)
      for (const [first] of (await source.at(step, 0)).inputs.ids) starts.add(first!);
    expect([...starts].toSorted((a, b) => a - b)).toEqual(Array.from({ length: 18 }, (_, i) => i));
    const other = tokenWindows(counting, { length: 5, batch: 3, seed: 8 });
    const drawn = [await source.at(1, 0), await source.at(1, 1), await source.at(2, 0), await other.at(1, 0)];
    expect(new Set(drawn.map(({ inputs }) => inputs.ids.join())).size).toBe(4);
  });

  it("takes a text of one window and the token after it", async () => {
    const { inputs } = await tokenWindows([4, 5, 6], { length: 2, batch: 2 }).at(1, 0);
    expect(inputs.ids).toEqual([
      [4, 5],
      [4, 5],
    ]);
  });

  it("says what it depends on", () => {
    expect(source.options).toEqual({
      kind: "token-windows",
      length: 5,
      batch: 3,
      seed: 7,
      tokens: 23,
      hash: expect.stringMatching(/^[0-9a-f]{8}$/),
    });
    const changed = Int32Array.from(counting).fill(1, 3, 4);
    expect(tokenWindows(changed, { length: 5, batch: 3, seed: 7 }).options).not.toEqual(source.options);
  });

  it.each<[() => unknown, string]>([
    [
      () => tokenWindows([], { length: 2, batch: 1 }),
      "tokenWindows: ids must hold at least 3 tokens, a window and the token after it, got 0",
    ],
    [() => tokenWindows([1, 2], { length: 2, batch: 1 }), "tokenWindows: ids must hold at least 3 tokens"],
    [() => tokenWindows([1, 0.5, 2], { length: 1, batch: 1 }), "tokenWindows: ids[1] must be an integer"],
    [
      () => tokenWindows([1, 2], { length: 0, batch: 1 }),
      "tokenWindows: length must be an integer >= 1, got 0",
    ],
    [
      () => tokenWindows([1, 2], { length: 1, batch: 0 }),
      "tokenWindows: batch must be an integer >= 1, got 0",
    ],
    [
      () => tokenWindows([1, 2], { length: 1, batch: 1, seed: -1 }),
      "tokenWindows: seed must be an integer >= 0",
    ],
    [
      () => sequentialWindows([1], { length: 1, batch: 1 }),
      "sequentialWindows: ids must hold at least 2 tokens",
    ],
  ])("rejects %o", (make, message) => {
    expect(make).toThrow(message);
  });
});

describe("sequentialWindows", () => {
  const all = async (length: number, batch: number): Promise<TokenBatch[]> => {
    const list = sequentialWindows(counting, { length, batch });
    return Promise.all(Array.from({ length: list.count }, async (_, i) => list.at(i)));
  };

  it.each([
    [5, 3],
    [5, 2],
    [22, 1],
    [11, 2],
    [1, 4],
    [7, 100],
  ])(
    "windows of %i in batches of %i: each token but the first is a label once, in order",
    async (length, batch) => {
      const batches = await all(length, batch);
      expect(batches.flatMap(({ labels }) => [...labels])).toEqual([...counting.subarray(1)]);
      expect(batches.flatMap(({ inputs }) => inputs.ids.flat())).toEqual([...counting.subarray(0, 22)]);
      for (const { inputs } of batches) expect(inputs.ids.length).toBeLessThanOrEqual(batch);
    },
  );

  it.each([
    [5, 3, 3],
    [11, 2, 1],
  ])("of %i tokens in batches of %i have no batch outside the %i", async (length, batch, count) => {
    const list = sequentialWindows(counting, { length, batch });
    expect(list.count).toBe(count);
    expect((await list.at(count - 1)).labels.length).toBeGreaterThan(0);
    for (const index of [-1, count, 0.5, NaN, "0" as never])
      expect(() => list.at(index), String(index)).toThrow(
        `sequentialWindows: at: index must be an integer from 0 to ${count - 1}, got `,
      );
  });

  it("puts what does not fill a window into a shorter row of its own", async () => {
    const batches = await all(5, 3);
    expect(batches.map(({ inputs }) => inputs.ids.map((row) => row.length))).toEqual([[5, 5, 5], [5], [2]]);
  });
});

describe("drawPlace", () => {
  it("reaches beyond 2^24 and is even", () => {
    const stream = randomStream({ seed: 5 });
    const bound = 2 ** 40;
    const draws = Array.from({ length: 4000 }, (_, i) => drawPlace(stream, i, bound));
    expect(draws.every((place) => Number.isSafeInteger(place) && place >= 0 && place < bound)).toBe(true);
    expect(new Set(draws.map((place) => place % 2 ** 16)).size).toBeGreaterThan(3800);
    expect(draws.reduce((sum, place) => sum + place / bound, 0) / 4000).toBeCloseTo(0.5, 1);
  });
});
