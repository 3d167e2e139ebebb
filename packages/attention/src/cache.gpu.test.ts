import * as tf from "@tensorflow/tfjs-core";
import {
  drawAttention,
  largestDifference,
  plainAttention,
  tensorCall,
  useBackend,
} from "@heddle/conformance";
import { describe, expect, it } from "vitest";
import { createKeyValueCache } from "./cache.ts";
import { attention } from "./operation.ts";
import { causal } from "./patterns/causal.ts";

describe("KeyValueCache on webgpu", () => {
  useBackend("webgpu");

  it("decodes token by token what the whole pass gives, in place", async () => {
    const [batch, heads, length, width] = [2, 2, 5, 3];
    const plain = drawAttention(
      { batch, heads, keyHeads: 1, queries: length, keys: length, width, valueWidth: width },
      { pattern: causal() },
    );
    const { output } = plainAttention(plain);
    const { tensors } = tensorCall(plain);
    const cache = createKeyValueCache({ layers: 1, batch, capacity: length });
    for (const [start, count] of [
      [0, 2],
      [2, 1],
      [3, 1],
      [4, 1],
    ] as const) {
      const out = tf.tidy(() => {
        const part = (name: string): tf.Tensor => {
          const [b, h, , d] = tensors[name]!.shape as [number, number, number, number];
          return tf.slice(tensors[name]!, [0, 0, start, 0], [b, h, count, d]);
        };
        return attention({
          q: part("q"),
          k: part("k"),
          v: part("v"),
          pattern: causal(),
          cache: cache.layer(0),
        });
      });
      cache.advance(count);
      const rows = Array.from({ length: batch * heads }, (_, row) => [
        ...output.subarray((row * length + start) * width, (row * length + start + count) * width),
      ]);
      expect(largestDifference(await out.data(), rows.flat())).toBeLessThan(1e-5);
      out.dispose();
    }
    cache.dispose();
    tf.dispose(Object.values(tensors));
  });
});
