import { useBackend } from "@heddle/conformance";
import { activation, differentiate } from "@heddle/core";
import * as tf from "@tensorflow/tfjs-core";
import { describe, expect, it } from "vitest";

describe("clones on wasm", () => {
  useBackend("wasm");

  it("share memory, which lasts until the last of them is disposed", async () => {
    const x = tf.tensor1d([1, 2, 3]);
    const before = tf.memory().numDataBuffers;
    const copy = tf.clone(x);
    expect(copy.dataId).toBe(x.dataId);
    expect(tf.memory().numDataBuffers).toBe(before);
    x.dispose();
    expect([...(await copy.data())]).toEqual([1, 2, 3]);
    copy.dispose();
    expect(tf.memory().numDataBuffers).toBe(before - 1);
  });

  it("are what a gradient keeps: no copy of an input", () => {
    const x = tf.ones([4, 8]);
    const before = tf.memory().numDataBuffers;
    let kept = 0;
    const { value, gradients } = differentiate(() => {
      const y = activation({ x, kind: "silu" });
      kept = tf.memory().numDataBuffers - before;
      return y;
    }, [x]);
    // The output.
    expect(kept).toBe(1);
    tf.dispose([x, value, gradients[0]!]);
  });
});
