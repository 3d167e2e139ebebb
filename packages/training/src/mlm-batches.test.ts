import { randomStream } from "@heddle/core";
import { describe, expect, it } from "vitest";
import { mlmBatches } from "./index.ts";

const [CLS, SEP, MASK, PAD, SIZE] = [1, 2, 3, 0, 500];
const stream = randomStream({ seed: 2, path: "rows" });
const rows = Array.from({ length: 50 }, (_, row) => [
  CLS,
  ...Array.from({ length: 20 + (row % 11) }, (_unused, at) => 10 + stream.integer(row * 40 + at, SIZE - 10)),
  SEP,
]);
const options = {
  batch: 16,
  vocabularySize: SIZE,
  maskId: MASK,
  specialIds: [CLS, SEP],
  padId: PAD,
  seed: 5,
};
const source = mlmBatches(rows, options);

describe("mlmBatches", () => {
  it("chooses 15 % of the tokens: 80 % masked, 10 % random, 10 % kept", async () => {
    const counts = { tokens: 0, chosen: 0, masked: 0, random: 0, kept: 0 };
    const replacements = new Set<number>();
    for (let step = 1; step <= 300; step++) {
      const { inputs, labels } = await source.at(step, 0);
      const ids = inputs.ids.flat();
      const keep = inputs.attentionMask.flat();
      labels.forEach((label, i) => {
        if (keep[i] === 1 && ids[i] !== CLS && ids[i] !== SEP) counts.tokens++;
        if (label === -100) return;
        counts.chosen++;
        if (ids[i] === MASK) counts.masked++;
        else if (ids[i] === label) counts.kept++;
        else {
          counts.random++;
          replacements.add(ids[i]!);
        }
      });
    }
    // About 120,000 tokens and 18,000 chosen: four standard deviations of each share.
    expect(Math.abs(counts.chosen / counts.tokens - 0.15)).toBeLessThan(0.0045);
    expect(Math.abs(counts.masked / counts.chosen - 0.8)).toBeLessThan(0.012);
    expect(Math.abs(counts.random / counts.chosen - 0.1)).toBeLessThan(0.009);
    expect(Math.abs(counts.kept / counts.chosen - 0.1)).toBeLessThan(0.009);
    // Random ones come from the whole vocabulary, special tokens too.
    expect(replacements.size).toBeGreaterThan(470);
    expect([CLS, SEP, PAD].some((id) => replacements.has(id))).toBe(true);
  });

  it("keeps what it does not choose, pads to the longest row and never chooses padding or special tokens", async () => {
    const { inputs, labels } = await source.at(1, 0);
    const length = inputs.ids[0]!.length;
    expect(labels).toHaveLength(16 * length);
    inputs.ids.forEach((row, i) => {
      const size = inputs.attentionMask[i]!.filter((flag) => flag === 1).length;
      const original = row.map((id, at) =>
        labels[i * length + at] === -100 ? id : labels[i * length + at]!,
      );
      expect(rows).toContainEqual(original.slice(0, size));
      expect(original.slice(size)).toEqual(Array.from({ length: length - size }, () => PAD));
      expect(inputs.attentionMask[i]).toEqual(row.map((_, at) => (at < size ? 1 : 0)));
      expect([labels[i * length], labels[i * length + size - 1]]).toEqual([-100, -100]);
    });
    expect(inputs.attentionMask.some((flags) => flags.at(-1) === 1)).toBe(true);
  });

  it("gives the same batch for the same address only", async () => {
    expect(await mlmBatches(rows, options).at(3, 2)).toEqual(await source.at(3, 2));
    const others = [
      await source.at(3, 2),
      await source.at(3, 1),
      await source.at(2, 2),
      await mlmBatches(rows, { ...options, seed: 6 }).at(3, 2),
    ];
    expect(new Set(others.map(({ inputs }) => JSON.stringify(inputs.ids))).size).toBe(4);
  });

  it("chooses one token of a batch that chance would leave without, so that every step has a label", async () => {
    const few = mlmBatches([[CLS, 7, 8, SEP]], { ...options, batch: 1 });
    const chosen = new Set<number>();
    for (let step = 1; step <= 40; step++) {
      const { labels } = await few.at(step, 0);
      const counted = labels.filter((label) => label !== -100);
      expect(counted.length).toBeGreaterThan(0);
      counted.forEach((label) => chosen.add(label));
    }
    expect([...chosen].toSorted()).toEqual([7, 8]);
    const none = await mlmBatches([[CLS, SEP]], { ...options, batch: 1 }).at(1, 0);
    expect([...none.labels]).toEqual([-100, -100]);
  });

  it("masks every token at a chance of 1", async () => {
    const { labels } = await mlmBatches([[7, 8, 9]], { ...options, batch: 2, probability: 1 }).at(1, 0);
    expect([...labels]).toEqual([7, 8, 9, 7, 8, 9]);
  });

  it.each<[Parameters<typeof mlmBatches>, string]>([
    [[[], options], "mlmBatches: rows must hold at least one row, got []"],
    [[[[5], []], options], "mlmBatches: rows[1] must hold at least one token, got []"],
    [[[[5, 500]], options], "mlmBatches: rows[0][1] must be an integer from 0 to 499, got 500"],
    [[rows, { ...options, maskId: 500 }], "mlmBatches: maskId must be an integer from 0 to 499, got 500"],
    [
      [rows, { ...options, specialIds: [CLS, 500] }],
      "mlmBatches: specialIds[1] must be an integer from 0 to 499, got 500",
    ],
    [
      [rows, { ...options, specialIds: [-1] }],
      "mlmBatches: specialIds[0] must be an integer from 0 to 499, got -1",
    ],
    [
      [rows, { ...options, specialIds: ["101"] as never }],
      'mlmBatches: specialIds[0] must be an integer from 0 to 499, got "101"',
    ],
    [
      [rows, { ...options, probability: 0 }],
      "mlmBatches: probability must be a number from 5e-324 to 1, got 0",
    ],
    [[rows, { ...options, batch: 0 }], "mlmBatches: batch must be an integer >= 1, got 0"],
  ])("rejects %#", (call, message) => {
    expect(() => mlmBatches(...call)).toThrow(message);
  });
});
