import {
  drawn,
  drawParameter,
  embeddingCases,
  expectGradients,
  largestDifference,
  testKernel,
  useBackend,
} from "@heddle/conformance";
import { differentiate, embedding, embeddingOperation } from "@heddle/core";
import * as tf from "@tensorflow/tfjs-core";
import { describe, expect, it } from "vitest";
import { embeddingWebGpu } from "./embedding.ts";

describe("embedding on webgpu", () => {
  useBackend("webgpu");
  testKernel(
    embeddingOperation,
    embeddingWebGpu,
    [
      ...embeddingCases,
      {
        name: "ids that were computed on the device",
        make: () => ({ table: drawn("table", [9, 4]), ids: tf.argMax(drawn("scores", [7, 9]), 1) }),
      },
    ],
    { forward: 0, gradient: 1e-6 },
  );

  it("has the gradient that differences give, ids repeating", async () => {
    const table = drawParameter("table", [5, 7]);
    const ids = tf.tensor2d([3, 0, 3, 1, 3, 0], [2, 3], "int32");
    await expectGradients(() => embedding(table.tensor(), ids), [table]);
    ids.dispose();
    table.dispose();
  });

  it("adds up gradients in the order of the ids, over many more of them than a group has lanes", async () => {
    const [rows, width, count] = [3, 5, 700];
    const numbers = Int32Array.from({ length: count }, (_, i) => (i % 7 === 0 ? 0 : 2));
    const ids = tf.tensor1d(numbers, "int32");
    const [table, dy] = [tf.zeros([rows, width]), drawn("dy", [count, width])];
    const slopes = await dy.data();
    const expected = new Float32Array(rows * width);
    for (const [i, row] of numbers.entries())
      for (let column = 0; column < width; column++)
        expected[row * width + column]! += slopes[i * width + column]!;
    const { value, gradients } = differentiate(() => embedding(table, ids), [table], dy);
    expect(await gradients[0]!.data()).toEqual(expected);
    tf.dispose([ids, table, dy, value, gradients[0]!]);
  });

  it("has blocks of rows in a large vocabulary", async () => {
    const [rows, width] = [50257, 4];
    const numbers = [50256, 0, 48, 49, 50, 50256, 12345];
    const ids = tf.tensor1d(numbers, "int32");
    const table = tf.tensor2d(
      Float32Array.from({ length: rows * width }, (_, i) => i),
      [rows, width],
    );
    const dy = tf.ones([numbers.length, width]);
    const { value, gradients } = differentiate(() => embedding(table, ids), [table], dy);
    const expected = numbers.flatMap((row) => [0, 1, 2, 3].map((column) => row * width + column));
    expect([...(await value.data())]).toEqual(expected);
    const counts = new Float32Array(rows * width);
    for (const at of expected) counts[at]!++;
    expect(largestDifference(await gradients[0]!.data(), counts)).toBe(0);
    tf.dispose([ids, table, dy, value, gradients[0]!]);
  });

  it("gives zeros for ids that the table has no row for, and they have no gradient", async () => {
    const ids = tf.tensor1d([-1, 1, 2, 2 ** 31 - 1, -(2 ** 31)], "int32");
    const table = tf.ones([2, 3]);
    const { value, gradients } = differentiate(() => embedding(table, ids), [table]);
    expect([...(await value.data())]).toEqual([0, 0, 0, 1, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    expect([...(await gradients[0]!.data())]).toEqual([0, 0, 0, 1, 1, 1]);
    tf.dispose([ids, table, value, gradients[0]!]);
  });
});
