/** Numbers below 2^-126, which other libraries may take for 0: as inputs, as sums of products, as results. */
import { largestDifference, largestEntry, kernelRuns, useBackend } from "@heddle/conformance";
import * as tf from "@tensorflow/tfjs-core";
import { describe, expect, it } from "vitest";

describe.each([1e-20, 1e-40])("inputs and gradients times %f", (scale) => {
  useBackend("wasm");

  it.each(kernelRuns)("are what the reference makes of them: $name", ({ run }) => {
    const [expected, found] = [true, false].map((isReference) => {
      const results = run({ scale, isReference });
      const values = results.map((tensor) => tensor.dataSync<"float32">().slice());
      tf.dispose(results);
      return values;
    }) as [Float32Array[], Float32Array[]];
    found.forEach((values, i) => {
      // A denormal has fewer digits; where all should be 0, what is left is that of a product of two inputs.
      const within = 1e-3 * Math.max(largestEntry(expected[i]!), scale ** 2);
      expect(largestDifference(values, expected[i]!), `result ${i}`).toBeLessThanOrEqual(within);
    });
  });
});
