import { largestDifference, readGolden } from "@heddle/conformance";
import { randomStream } from "@heddle/core";
import { describe, expect, it } from "vitest";
import {
  applyTemperature,
  checkSampling,
  greedyToken,
  keepTopK,
  keepTopP,
  penalizeRepetition,
  processLogits,
  sampleToken,
  softmax,
} from "./sampling.ts";
import type { SamplingOptions } from "./sampling.ts";

const golden = await readGolden(new URL("./goldens/generation.safetensors", import.meta.url));
const cases = golden.info["options"] as Readonly<Record<string, SamplingOptions>>;
const logs = (...chances: number[]): Float32Array => Float32Array.from(chances, Math.log);
const kept = (logits: Float32Array): number[] => [...logits.keys()].filter((id) => logits[id] !== -Infinity);

describe("processLogits", () => {
  const filters = Object.keys(cases).filter((name) => name.startsWith("filter-"));
  it("has the goldens of each filter", () => {
    expect(filters).toHaveLength(9);
  });
  it.each(filters)("gives the distribution of transformers: %s", (name) => {
    const logits = golden.floats(`${name}/input/logits`);
    const before = logits.slice();
    const result = processLogits(logits, golden.integers(`${name}/input/seen`), cases[name]!);
    const keptThere = golden.integers(`${name}/output/kept`);
    expect([...result].map((logit) => Number(logit !== -Infinity))).toEqual([...keptThere]);
    const chances = softmax(result);
    const found = Array.from(chances, (chance, id) => (keptThere[id] ? Math.log(chance) : 0));
    expect(largestDifference(found, golden.floats(`${name}/output/log_probabilities`))).toBeLessThan(1e-5);
    expect(logits).toEqual(before);
  });

  it("refuses an option that there is not, or is out of its range", () => {
    const attempt = (options: object): unknown => processLogits(Float32Array.of(1), [], options);
    expect(() => attempt({ topk: 1 })).toThrow(
      'processLogits: sampling options must have only the fields temperature, topK, topP, repetitionPenalty, got "topk"',
    );
    expect(() => attempt({ repetitionPenalty: Infinity })).toThrow(
      "processLogits: repetitionPenalty must be a number, got Infinity",
    );
  });

  it("penalizes only, at temperature 0", () => {
    const options = { temperature: 0, topK: 1, topP: 0.1, repetitionPenalty: 2 };
    expect(processLogits(Float32Array.of(4, 3, -1), [0, 2], options)).toEqual(Float32Array.of(2, 3, -2));
  });
});

describe("the filters", () => {
  it("penalize each id once, by its sign", () => {
    const logits = Float32Array.of(2, -2, 0, 5);
    expect(penalizeRepetition(logits, [0, 0, 1, 2, 99], 4)).toEqual(Float32Array.of(0.5, -8, 0, 5));
  });
  it("stay finite under an extreme penalty, and leave out what was left out", () => {
    const logits = Float32Array.of(3, -3, -Infinity, 0);
    const most = 3.4028234663852886e38;
    const seen = [0, 1, 2, 3];
    expect(penalizeRepetition(logits, seen, 1e308)).toEqual(Float32Array.of(0, -most, -Infinity, 0));
    expect(penalizeRepetition(logits, seen, 1e-308)).toEqual(Float32Array.of(most, -0, -Infinity, 0));
    for (const repetitionPenalty of [1e308, 5e-324])
      for (const temperature of [1, 1e-300, 1e300]) {
        const options = { temperature, topK: 3, topP: 0.9, repetitionPenalty };
        for (const all of [logits, Float32Array.of(-1, -2, -3, -4)])
          expect(softmax(processLogits(all, seen, options)).every(Number.isFinite)).toBe(true);
      }
  });
  it("keep what ties with the k-th", () => {
    expect(kept(keepTopK(Float32Array.of(1, 3, 2, 2), 2))).toEqual([1, 2, 3]);
    expect(kept(keepTopK(Float32Array.of(1, 3), 2))).toEqual([0, 1]);
  });
  it("keep the smallest set that reaches p, and always one", () => {
    const logits = logs(0.1, 0.5, 0.15, 0.25);
    expect(kept(keepTopP(logits, 0.7))).toEqual([1, 3]);
    expect(kept(keepTopP(logits, 0.8))).toEqual([1, 2, 3]);
    expect(kept(keepTopP(logits, 1e-9))).toEqual([1]);
    // A tail of exactly 1 - p goes.
    expect(kept(keepTopP(new Float32Array(4), 0.5))).toEqual([2, 3]);
    expect(kept(keepTopP(logits, 1))).toEqual([0, 1, 2, 3]);
  });
  it("stay finite at a temperature near 0", () => {
    expect([...softmax(applyTemperature(Float32Array.of(80, 79, -80), 1e-300))]).toEqual([1, 0, 0]);
  });
});

describe("the choice", () => {
  it("takes the first of the best", () => {
    expect(greedyToken(Float32Array.of(1, 5, 5, 2))).toBe(1);
  });
  it("walks the cumulative distribution and never takes an excluded token", () => {
    const logits = Float32Array.of(-Infinity, Math.log(0.25), -Infinity, Math.log(0.75), -Infinity);
    const places = [0, 0.2499, 0.2501, 1 - 2 ** -24, 1];
    expect(places.map((place) => sampleToken(logits, place))).toEqual([1, 1, 3, 3, 3]);
  });
  it("draws each token as often as its probability says", () => {
    const chances = [0.4, 0.3, 0.15, 0.1, 0.05];
    const draws = 40_000;
    const stream = randomStream({ seed: 7, path: "draws" });
    const counts = chances.map(() => 0);
    for (let i = 0; i < draws; i++) counts[sampleToken(logs(...chances), stream.uniform(i))]!++;
    const chiSquare = counts.reduce(
      (sum, count, id) => sum + (count - draws * chances[id]!) ** 2 / (draws * chances[id]!),
      0,
    );
    expect(chiSquare).toBeLessThan(9.49); // 95 % of 4 degrees of freedom
  });
});

describe("checkSampling", () => {
  it.each<[SamplingOptions, string]>([
    [{ temperature: -1 }, "generate: temperature must be a number >= 0, got -1"],
    [{ temperature: Number.NaN }, "generate: temperature must be a number >= 0, got NaN"],
    [{ topK: 0 }, "generate: topK must be an integer >= 1, got 0"],
    [{ topK: 1.5 }, "generate: topK must be an integer >= 1, got 1.5"],
    [{ topP: 0 }, "generate: topP must be above 0 and at most 1, got 0"],
    [{ topP: 1.01 }, "generate: topP must be above 0 and at most 1, got 1.01"],
    [{ repetitionPenalty: 0 }, "generate: repetitionPenalty must be above 0, got 0"],
  ])("refuses %j", (options, message) => {
    expect(() => checkSampling("generate", options)).toThrow(message);
  });
});
