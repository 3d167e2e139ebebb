import * as tf from "@tensorflow/tfjs-core";
import { largestDifference, testPosition, useBackend } from "@heddle/conformance";
import { createWeights, randomStream } from "@heddle/core";
import { describe, expect, it } from "vitest";
import { rotary } from "./rotary.ts";
import type { RotaryOptions } from "./rotary.ts";

const shape = { width: 6, heads: 1, maxLength: 8, table: "t" };
const turn = (options: RotaryOptions, values: Float32Array, ...positions: number[]): number[] => {
  const built = rotary(options).build(createWeights(), shape);
  const out = tf.tidy(() =>
    built.onQueryKey!(tf.tensor4d(values, [1, 1, positions.length, 6]), Int32Array.from(positions)),
  );
  const found = [...out.dataSync()];
  out.dispose();
  return found;
};
const drawn = (path: string, count = 6): Float32Array => randomStream({ seed: 1, path }).normals(count);

describe.each(["cpu", "wasm"] as const)("rotary on %s", (backend) => {
  useBackend(backend);
  for (const pairs of ["half", "interleaved"] as const) {
    testPosition(rotary({ pairs }), { make: rotary });

    it(`turns pairs by angles that grow with the position: ${pairs}`, () => {
      const x = drawn("x", 12);
      const found = turn({ pairs, base: 100 }, x, 2, 5);
      const expected = [...x];
      [2, 5].forEach((position, t) => {
        for (let i = 0; i < 3; i++) {
          const angle = position / 100 ** ((2 * i) / 6);
          const [a, b] = pairs === "half" ? [i, i + 3] : [2 * i, 2 * i + 1];
          const [first, second] = [x[t * 6 + a]!, x[t * 6 + b]!];
          expected[t * 6 + a] = first * Math.cos(angle) - second * Math.sin(angle);
          expected[t * 6 + b] = second * Math.cos(angle) + first * Math.sin(angle);
        }
      });
      expect(largestDifference(found, expected)).toBeLessThan(1e-6);
    });

    it(`makes the product of a query and a key depend on their distance alone: ${pairs}`, () => {
      const product = (query: number, key: number): number => {
        const [q, k] = [turn({ pairs }, drawn("q"), query), turn({ pairs }, drawn("k"), key)];
        return q.reduce((sum, value, i) => sum + value * k[i]!, 0);
      };
      expect(Math.abs(product(7, 4) - product(103, 100))).toBeLessThan(1e-4);
      expect(Math.abs(product(7, 4) - product(7, 5))).toBeGreaterThan(1e-2);
    });
  }
});

it("rotary refuses unknown pairs and bases below 1", () => {
  // @ts-expect-error No such pairs.
  expect(() => rotary({ pairs: "thirds" })).toThrow(
    'rotary: pairs must be one of "half", "interleaved", got "thirds"',
  );
  expect(() => rotary({ base: 0.5 })).toThrow("rotary: base must be a number >= 1, got 0.5");
});
