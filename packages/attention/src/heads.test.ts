import { drawParameter, expectGradients, useBackend } from "@heddle/conformance";
import * as tf from "@tensorflow/tfjs-core";
import { describe, expect, it } from "vitest";
import { mergeHeads, splitHeads } from "./heads.ts";

describe.each(["cpu", "wasm"] as const)("heads on %s", (backend) => {
  useBackend(backend);

  it("are taken out of a part of the last dimension, and put side by side again", async () => {
    // Row 0 is 0 to 5, row 1 is 10 to 15.
    const x = tf.tensor3d([0, 1, 2, 3, 4, 5, 10, 11, 12, 13, 14, 15], [1, 2, 6]);
    const [all, part, back] = tf.tidy(() => {
      const heads = splitHeads({ x, heads: 2, headWidth: 2, begin: 1 });
      return [splitHeads({ x, heads: 2 }), heads, mergeHeads(heads)];
    }) as [tf.Tensor, tf.Tensor, tf.Tensor];
    expect(all.shape).toEqual([1, 2, 2, 3]);
    expect([...(await all.data())]).toEqual([0, 1, 2, 10, 11, 12, 3, 4, 5, 13, 14, 15]);
    expect(part.shape).toEqual([1, 2, 2, 2]);
    expect([...(await part.data())]).toEqual([1, 2, 11, 12, 3, 4, 13, 14]);
    expect(back.shape).toEqual([1, 2, 4]);
    expect([...(await back.data())]).toEqual([1, 2, 3, 4, 11, 12, 13, 14]);
    tf.dispose([x, all, part, back]);
  });

  it("have the gradients that differences give", async () => {
    const [fused, apart] = [drawParameter("fused", [2, 3, 9]), drawParameter("apart", [2, 2, 3, 4])];
    const part = { heads: 2, headWidth: 3, begin: 2 };
    await expectGradients(() => splitHeads({ x: fused.tensor(), ...part }), [fused]);
    await expectGradients(() => mergeHeads(apart.tensor()), [apart]);
    fused.dispose();
    apart.dispose();
  });

  it.each([
    [{ shape: [2, 6], heads: 2 }, "splitHeads: x must have 3 dimensions, got [2,6]"],
    [{ shape: [1, 2, 6], heads: 0 }, "splitHeads: heads must be an integer >= 1, got 0"],
    [{ shape: [1, 2, 6], heads: 4 }, "splitHeads: width must be a multiple of 4 heads, got 6"],
    [
      { shape: [1, 2, 6], heads: 2, headWidth: 1.5 },
      "splitHeads: headWidth must be an integer >= 1, got 1.5",
    ],
    [
      { shape: [1, 2, 6], heads: 2, headWidth: 2, begin: -1 },
      "splitHeads: begin must be an integer >= 0, got -1",
    ],
    [
      { shape: [1, 2, 6], heads: 2, headWidth: 2, begin: 3 },
      "splitHeads: width must hold 2 heads of 2 from 3 on, got 6",
    ],
  ])("are refused where they are none: %j", ({ shape, ...call }, message) => {
    tf.tidy(() => {
      expect(() => splitHeads({ x: tf.ones(shape), ...call })).toThrow(message);
    });
  });

  it("are refused side by side already", () => {
    tf.tidy(() => {
      expect(() => mergeHeads(tf.ones([1, 2, 6]))).toThrow(
        "mergeHeads: x must have 4 dimensions, got [1,2,6]",
      );
    });
  });
});
