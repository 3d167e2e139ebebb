import { and, full, longformer, not, causal, or, pattern, slidingWindow } from "@heddle/attention";
import {
  futureLeaks,
  mechanismSamples,
  patternSamples,
  positionSamples,
  smallDecoder,
  useBackend,
} from "@heddle/conformance";
import { describe, expect, it } from "vitest";

// All pairs of patterns under every position: npm run figures -- loom --only causality.
const rows = 9;
const compared = 2 * ((rows * (rows + 1)) / 2);
const nothing = { leaks: 0, compared, blind: 0 };

for (const backend of ["cpu", "wasm"] as const)
  describe(`a decoder on ${backend} cannot see the future`, () => {
    useBackend(backend);

    it("whatever the position", async () => {
      for (const position of positionSamples) {
        const decoder = smallDecoder(position);
        for (const attention of [full(), or(slidingWindow({ before: 1, after: 3 })), ...mechanismSamples])
          expect(await futureLeaks(decoder, attention), `${attention.name}, ${position.name}`).toEqual(
            nothing,
          );
        decoder.dispose();
      }
    });

    it("whatever the attention", async () => {
      const decoder = smallDecoder(positionSamples[0]!);
      for (const attention of [...patternSamples, ...mechanismSamples])
        expect(await futureLeaks(decoder, attention), attention.name).toEqual(nothing);
      for (const mixed of [
        [full(), longformer({ window: 2 })],
        [longformer({ window: 4 }), not(causal())],
      ])
        expect((await futureLeaks(decoder, mixed)).leaks).toBe(0);
      decoder.dispose();
    });
  });

describe("the comparison", () => {
  useBackend("cpu");

  it("compares nothing when the attention allows no pair in a decoder", async () => {
    const decoder = smallDecoder(positionSamples[0]!);
    const future = pattern("future", {}, ({ query, key }) => query.isLess(key));
    expect(await futureLeaks(decoder, and(future))).toEqual({ leaks: 0, compared: 0, blind: 0 });
    decoder.dispose();
  });
});
