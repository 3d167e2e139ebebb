import { activeBackend, startBackend } from "@heddle/core";
import * as tf from "@tensorflow/tfjs-core";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { webgpu } from "./webgpu.ts";

beforeAll(async () => {
  await startBackend(webgpu());
});

afterAll(() => activeBackend()?.dispose());

const value = (i: number): number => (((i * 7919) % 1009) - 504) / 504;
const fill = (length: number, from: number): Float32Array =>
  Float32Array.from({ length }, (_, i) => value(i + from));

/** B batch, M rows, K inner, N columns; sizes on and off the tiles of every program that tfjs picks. */
describe.each([
  [1, 1, 64, 64],
  [1, 64, 64, 1],
  [1, 128, 256, 128],
  [1, 33, 65, 129],
  [2, 17, 33, 65],
  [3, 7, 5, 3],
] as const)("matMul [%i, %i, %i, %i]", (batch, rows, inner, columns) => {
  it.each([
    [false, false],
    [false, true],
    [true, false],
  ])("transposed %s %s", async (transposeA, transposeB) => {
    const [a, b] = [fill(batch * rows * inner, 1), fill(batch * inner * columns, 2)];
    const result = tf.tidy(() =>
      tf.matMul(
        tf.tensor3d(a, transposeA ? [batch, inner, rows] : [batch, rows, inner]),
        tf.tensor3d(b, transposeB ? [batch, columns, inner] : [batch, inner, columns]),
        transposeA,
        transposeB,
      ),
    );
    const values = await result.data();
    result.dispose();
    let worst = 0;
    for (let at = 0; at < values.length; at++) {
      const [page, row, column] = [
        Math.floor(at / (rows * columns)),
        Math.floor(at / columns) % rows,
        at % columns,
      ];
      let sum = 0;
      for (let k = 0; k < inner; k++)
        sum +=
          a[page * rows * inner + (transposeA ? k * rows + row : row * inner + k)]! *
          b[page * inner * columns + (transposeB ? column * inner + k : k * columns + column)]!;
      worst = Math.max(worst, Math.abs(values[at]! - sum));
    }
    expect(values).toHaveLength(batch * rows * columns);
    expect(worst).toBeLessThan(1e-4);
  });
});
