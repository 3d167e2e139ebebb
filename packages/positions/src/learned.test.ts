import * as tf from "@tensorflow/tfjs-core";
import { testPosition, useBackend } from "@heddle/conformance";
import { createWeights } from "@heddle/core";
import { describe, expect, it } from "vitest";
import { learned } from "./learned.ts";

const shape = { width: 2, heads: 1, maxLength: 3, table: "wpe" };

describe.each(["cpu", "wasm"] as const)("learned on %s", (backend) => {
  useBackend(backend);
  testPosition(learned(), { make: learned });

  it("adds the row of each token's position", () => {
    const weights = createWeights();
    const built = learned().build(weights, shape);
    weights.all.get("wpe.weight")!.assign(Float32Array.of(0, 1, 10, 11, 20, 21));
    const out = tf.tidy(() => built.onEmbedding!(tf.ones([2, 2, 2]), Int32Array.of(0, 1, 2, 2)));
    expect([...out.dataSync()]).toEqual([1, 2, 11, 12, 21, 22, 21, 22]);
    out.dispose();
    weights.dispose();
  });

  it("refuses a sequence beyond its table, and a position before it", () => {
    const weights = createWeights();
    const built = learned().build(weights, shape);
    const attempt =
      (...positions: number[]) =>
      (): unknown =>
        tf.tidy(() => built.onEmbedding!(tf.ones([1, positions.length, 2]), Int32Array.from(positions)));
    expect(attempt(0, 1, 2, 3)).toThrow(
      "wpe.weight: sequence must be at most 3 tokens long, the number of positions, got 4",
    );
    expect(attempt(0, -1)).toThrow("wpe.weight: positions must be >= 0, got -1");
    weights.dispose();
  });
});
