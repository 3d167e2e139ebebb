import * as tf from "@tensorflow/tfjs-core";
import { attentionMaps, causal, full } from "@heddle/attention";
import { largestDifference, readGolden, testPosition, useBackend } from "@heddle/conformance";
import { createWeights } from "@heddle/core";
import { describe, expect, it } from "vitest";
import { alibi, alibiSlopes } from "./alibi.ts";

const url = new URL("./goldens/positions.safetensors", import.meta.url);

describe("alibiSlopes", () => {
  it.each([1, 4, 6, 8, 12, 20])("are BLOOM's for %d heads", async (heads) => {
    const golden = await readGolden(url);
    expect(largestDifference(alibiSlopes(heads), golden.floats(`alibi-${heads}/output/slopes`))).toBeLessThan(
      1e-7,
    );
  });

  it("halve from head to head where there are eight", () => {
    expect(alibiSlopes(8)).toEqual([1, 2, 3, 4, 5, 6, 7, 8].map((head) => 2 ** -head));
    expect(() => alibiSlopes(0)).toThrow("alibiSlopes: heads must be an integer >= 1, got 0");
  });
});

describe.each(["cpu", "wasm"] as const)("alibi on %s", (backend) => {
  useBackend(backend);
  testPosition(alibi(), { make: alibi });

  it.each([
    ["causal", causal()],
    ["both ways", full()],
  ] as const)("takes slope times distance from each score: %s", async (name, pattern) => {
    const bias = (await readGolden(url)).floats("alibi-bias/output/bias");
    const slopes = alibiSlopes(6);
    const built = alibi().build(createWeights(), { width: 6, heads: 6, maxLength: 5, table: "t" });
    const map = tf.tidy(() => {
      const q = tf.zeros([1, 6, 5, 1]);
      return attentionMaps({ q, k: q, v: q, pattern, modifiers: built.onScore!() });
    });
    const expected = slopes.flatMap((slope, head) =>
      Array.from({ length: 5 }, (_, i) => {
        const scores = Array.from({ length: 5 }, (_, j) => {
          // BLOOM's own bias differs by a constant in each row, which the softmax takes away.
          if (name === "causal") return j <= i ? bias[head * 5 + j]! : -Infinity;
          return -slope * Math.abs(i - j);
        });
        const exponentials = scores.map(Math.exp);
        const sum = exponentials.reduce((a, b) => a + b, 0);
        return exponentials.map((exponential) => exponential / sum);
      }).flat(),
    );
    expect(largestDifference(map.dataSync(), expected)).toBeLessThan(1e-6);
    map.dispose();
  });
});
