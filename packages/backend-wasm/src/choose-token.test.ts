import { chooseTokenCases, testKernel, useBackend, wasmVariants } from "@heddle/conformance";
import { chooseToken, chooseTokenOperation } from "@heddle/core";
import * as tf from "@tensorflow/tfjs-core";
import { describe, expect, it } from "vitest";
import { chooseTokenWasm } from "./choose-token.ts";
import { wasm } from "./wasm.ts";

describe.each(wasmVariants)("chooseToken on wasm %j", (options) => {
  useBackend(wasm(options));
  testKernel(chooseTokenOperation, chooseTokenWasm, chooseTokenCases, { forward: 0 });

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
