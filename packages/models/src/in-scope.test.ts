import { plainContext, useBackend } from "@heddle/conformance";
import * as tf from "@tensorflow/tfjs-core";
import type { Tensor } from "@tensorflow/tfjs-core";
import { describe, expect, it } from "vitest";
import { inScope } from "./in-scope.ts";

describe("inScope", () => {
  useBackend("cpu");

  it("frees what a layer allocates besides its result and the maps that it gives", () => {
    const x = tf.ones([1, 2, 3]);
    const before = tf.memory().numTensors;
    const given = new Map<number, Tensor>();
    const maps = {
      wants: () => true,
      heads: [1],
      give: (layer: number, map: Tensor) => given.set(layer, map),
    };
    const layer = inScope((input, { maps: wanted }) => {
      expect(wanted?.heads).toEqual([1]);
      wanted!.give(4, tf.mul(input, 3));
      return tf.add(tf.mul(input, 2), 1);
    });
    const context = plainContext(2);
    const y = layer(x, { ...context, maps });
    expect(tf.memory().numTensors - before).toBe(2);
    expect([...y.dataSync(), ...given.get(4)!.dataSync()]).toEqual([3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3]);
    tf.dispose([x, y, given.get(4)!]);
  });

  it("asks for no maps where none are wanted", () => {
    const layer = inScope((input, { maps }) => {
      expect(maps).toBeUndefined();
      return tf.square(tf.add(input, 1));
    });
    const x = tf.ones([1]);
    const before = tf.memory().numTensors;
    const y = layer(x, plainContext(1));
    expect([...y.dataSync(), tf.memory().numTensors - before]).toEqual([4, 1]);
    tf.dispose([x, y]);
  });
});
