import * as tf from "@tensorflow/tfjs-core";
import { attentionMaps, full } from "@heddle/attention";
import { largestDifference, testPosition, useBackend } from "@heddle/conformance";
import { createWeights } from "@heddle/core";
import { describe, expect, it } from "vitest";
import { relativeBias } from "./relative-bias.ts";

describe.each(["cpu", "wasm"] as const)("relativeBias on %s", (backend) => {
  useBackend(backend);
  testPosition(relativeBias({ maxDistance: 2 }), { make: relativeBias });
  testPosition(relativeBias({ maxDistance: 4 }), { make: relativeBias });

  it("adds the number of a head and a clipped distance, from far before to far after", () => {
    const weights = createWeights();
    const built = relativeBias({ maxDistance: 1 }).build(weights, {
      width: 2,
      heads: 2,
      maxLength: 4,
      table: "t",
    });
    // Rows are the distances -1, 0 and 1, columns the heads.
    const bias = [
      [0.5, -1],
      [1, 2],
      [-0.5, 3],
    ];
    weights.all.get("relative_bias.weight")!.assign(Float32Array.from(bias.flat()));
    const map = tf.tidy(() => {
      const q = tf.zeros([1, 2, 4, 1]);
      return attentionMaps({ q, k: q, v: q, pattern: full(), modifiers: built.onScore!() });
    });
    const expected = [0, 1].flatMap((head) =>
      [0, 1, 2, 3].flatMap((i) => {
        const exponentials = [0, 1, 2, 3].map((j) => Math.exp(bias[Math.sign(j - i) + 1]![head]!));
        const sum = exponentials.reduce((a, b) => a + b, 0);
        return exponentials.map((exponential) => exponential / sum);
      }),
    );
    expect(largestDifference(map.dataSync(), expected)).toBeLessThan(1e-6);
    map.dispose();
    weights.dispose();
  });
});

it("relativeBias refuses a distance below 1", () => {
  expect(() => relativeBias({ maxDistance: 0 })).toThrow(
    "relativeBias: maxDistance must be an integer >= 1, got 0",
  );
});
