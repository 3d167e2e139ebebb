import { and, attentionMaps, attentionMapsOperation, causal, full, slidingWindow } from "@heddle/attention";
import type { MapSelection } from "@heddle/attention";
import { attentionMapsCases, drawn, testKernel, useBackend, withBindingLimit } from "@heddle/conformance";
import { explain, randomStream } from "@heddle/core";
import * as tf from "@tensorflow/tfjs-core";
import { describe, expect, it } from "vitest";
import { attentionMapsWebGpu } from "./attention-maps.ts";

/** Many rows take long in software, and every modifier is a shader: those are in the slow job. */
const isQuick = (name: string): boolean =>
  !/random call|random modifier ([2-9]|1\d)|many tiles|keys in steps/.test(name);

describe("attention maps on webgpu", () => {
  useBackend("webgpu");
  testKernel(
    attentionMapsOperation,
    attentionMapsWebGpu,
    attentionMapsCases.filter(({ name }) => isQuick(name)),
  );

  const mapsOf = (
    selection: MapSelection = {},
    pattern = and(causal(), slidingWindow({ before: 40 })),
  ): tf.Tensor =>
    tf.tidy(() => {
      const [q, k] = [drawn("q", [2, 4, 70, 8]), drawn("k", [2, 2, 70, 8])];
      return attentionMaps({ q, k, v: k, pattern }, selection);
    });

  it("are the same bits in every run, and where a binding holds a part of the rows", async () => {
    const [one, other] = [mapsOf(), mapsOf()];
    const parts = withBindingLimit(2 ** 16, () => mapsOf());
    const bits = await Promise.all(
      [one, other, parts].map(async (maps) => new Uint32Array((await maps.data<"float32">()).slice().buffer)),
    );
    expect(bits[1]).toEqual(bits[0]);
    expect(bits[2]).toEqual(bits[0]);
    tf.dispose([one, other, parts]);
  });

  it("has rows that sum to 1, whatever the scores, and takes no heads and no rows", async () => {
    const maps = tf.tidy(() => {
      const q = tf.mul(drawn("q", [1, 1, 3, 8]), 1e18);
      return attentionMaps({ q, k: q, v: q, pattern: full() });
    });
    const sums = tf.tidy(() => tf.sum(maps, 3));
    for (const sum of await sums.data()) expect(sum).toBeCloseTo(1, 6);
    const [noHeads, noRows] = [mapsOf({ heads: [] }), mapsOf({ rows: [] })];
    expect([noHeads.shape, noRows.shape]).toEqual([
      [2, 0, 70, 70],
      [2, 4, 0, 70],
    ]);
    expect([...(await noRows.data())]).toEqual([]);
    tf.dispose([maps, sums, noHeads, noRows]);
  });

  it.each([
    ["q", NaN],
    ["k", NaN],
    ["q", -Infinity],
    ["k", Infinity],
  ])("have no number where a row sees %s of %d, and every bit of the other rows", async (name, value) => {
    const [length, width, bad] = [70, 8, 37];
    const rowsOf = async (given?: number): Promise<Uint32Array[]> => {
      const maps = tf.tidy(() => {
        // Positive, so that Infinity in a key makes a score of Infinity.
        const rows = (path: string): tf.Tensor4D => {
          const values = randomStream({ seed: 2, path })
            .normals(length * width)
            .map(Math.abs);
          if (path === name && given !== undefined) values[bad * width + 3] = given;
          return tf.tensor4d(values, [1, 1, length, width]);
        };
        const [q, k] = [rows("q"), rows("k")];
        return attentionMaps({ q, k, v: k, pattern: and(causal(), slidingWindow({ before: 20 })) });
      });
      const bits = new Uint32Array((await maps.data<"float32">()).slice().buffer);
      maps.dispose();
      return Array.from({ length }, (_, i) => bits.slice(i * length, (i + 1) * length));
    };
    const [before, after] = [await rowsOf(), await rowsOf(value)];
    after.forEach((bits, row) => {
      const isTold = name === "q" ? row === bad : row >= bad && row <= bad + 20;
      if (!isTold) expect([row, bits]).toEqual([row, before[row]]);
      // Of every key that the row sees.
      else expect([row, (bits[row]! & 0x7f800000) === 0x7f800000]).toEqual([row, true]);
    });
  });

  it("refuses heads that are too wide", () => {
    tf.tidy(() => {
      const wide = tf.ones([1, 1, 2, 257]);
      const { refused } = explain(attentionMapsOperation, { q: wide, k: wide, v: wide, pattern: full() });
      expect(refused).toEqual([
        { kernel: attentionMapsWebGpu.name, reasons: ["heads of 257 are wider than 256"] },
      ]);
    });
  });
});
