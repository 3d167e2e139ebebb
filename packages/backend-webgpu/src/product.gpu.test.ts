import { largestDifference, useBackend } from "@heddle/conformance";
import * as tf from "@tensorflow/tfjs-core";
import type { Tensor } from "@tensorflow/tfjs-core";
import { describe, expect, it } from "vitest";
import { engine } from "./engine.ts";
import { product } from "./product.ts";
import { calibrationOf, cardLanes, tiles, tilesWithin, useCalibration } from "./calibration.ts";
import type { TileLimits } from "./calibration.ts";

interface Sizes {
  readonly batch?: number;
  readonly rows: number;
  readonly inner: number;
  readonly columns: number;
}

/** Small integers, of which float32 adds up all that is asked for here without rounding. */
const integer = (i: number, salt: number): number => ((i * 7919 + salt * 104_729) % 13) - 6;

/** Numbers that every product rounds. */
const fraction = (i: number, salt: number): number => Math.sin(i + salt);

const transposes = [
  { transposeA: false, transposeB: false },
  { transposeA: false, transposeB: true },
  { transposeA: true, transposeB: false },
  { transposeA: true, transposeB: true },
];

/** A factor as it is stored, with what it has at a line and a place of a matrix of the batch. */
function factor(
  [batch, lines, width]: [number, number, number],
  transposed: boolean,
  salt: number,
  value = integer,
) {
  const values = Float32Array.from({ length: batch * lines * width }, (_, i) => value(i, salt));
  const tensor = tf.tensor(values, transposed ? [batch, width, lines] : [batch, lines, width]);
  const at = (matrix: number, line: number, place: number): number =>
    values[matrix * lines * width + (transposed ? place * lines + line : line * width + place)]!;
  return { tensor, at };
}

/** The product of two factors of such numbers, and what it has to be. */
function multiply(
  { batch = 1, rows, inner, columns }: Sizes,
  { transposeA, transposeB }: (typeof transposes)[number],
  value = integer,
): { y: Tensor; expected: Float32Array } {
  const a = factor([batch, rows, inner], transposeA, 1, value);
  const b = factor([batch, inner, columns], transposeB, 2, value);
  const shape = [batch, rows, columns];
  const factors = { a: a.tensor, b: b.tensor, transposeA, transposeB };
  const y = product({ ...factors, batch, rows, inner, columns }, shape);
  const expected = new Float32Array(batch * rows * columns);
  for (let i = 0; i < expected.length; i++) {
    const [row, column] = [Math.floor(i / columns), i % columns];
    const matrix = Math.floor(row / rows);
    for (let k = 0; k < inner; k++) expected[i]! += a.at(matrix, row % rows, k) * b.at(matrix, k, column);
  }
  tf.dispose([a.tensor, b.tensor]);
  return { y, expected };
}

describe.each(transposes)("products on webgpu, %j", (transposed) => {
  useBackend("webgpu");

  const exact = async (sizes: Sizes): Promise<void> => {
    const { y, expected } = multiply(sizes, transposed);
    expect(largestDifference(await y.data(), expected)).toBe(0);
    y.dispose();
  };

  it.each([1, 2, 8, 9, 63, 64, 65, 130])("are exact in %i rows, however wide they are", async (rows) => {
    await exact({ rows, inner: 20, columns: 36 });
    await exact({ rows, inner: 7, columns: 5 });
  });

  it.each([0, 1, 3, 15, 16, 17, 32, 33])("are exact over %i inner steps", async (inner) => {
    for (const rows of [3, 33]) await exact({ rows, inner, columns: 66 });
  });

  it("share long sums among more invocations", async () => {
    for (const inner of [1535, 1536, 1541]) await exact({ rows: 1, inner, columns: 33 });
  });

  it("share sums among many invocations on a graphics card", async () => {
    const { device } = engine();
    const before = calibrationOf(device);
    try {
      useCalibration(device, { ...before, lanes: cardLanes });
      for (const rows of [1, 8]) await exact({ rows, inner: 1030, columns: 33 });
    } finally {
      useCalibration(device, before);
    }
  });

  it("take larger tiles where these are many", async () => {
    await exact({ batch: 16, rows: 65, inner: 19, columns: 66 });
    await exact({ batch: 1, rows: 512, inner: 8, columns: 512 });
  });

  it("have the same bits in every tile", async () => {
    const sizes = { batch: 2, rows: 132, inner: 20, columns: 134 };
    const { device } = engine();
    const before = calibrationOf(device);
    try {
      const found: Float32Array[] = [];
      for (const tile of tilesWithin(device.limits as TileLimits)) {
        useCalibration(device, { ...before, tiles: [{ tile, group: 1, together: 1 }] });
        const { y, expected } = multiply(sizes, transposed, fraction);
        found.push(await y.data<"float32">());
        expect(largestDifference(found[0]!, expected)).toBeLessThan(1e-4);
        y.dispose();
      }
      expect(found).toHaveLength(tiles.length);
      for (const other of found) expect(other).toEqual(found[0]);
    } finally {
      useCalibration(device, before);
    }
  });

  it("are nothing where there is nothing", async () => {
    for (const [rows, columns, batch] of [
      [0, 3, 1],
      [3, 0, 1],
      [9, 9, 0],
    ] as const)
      await exact({ rows, inner: 2, columns, batch });
  });
});

describe("products on webgpu", () => {
  useBackend("webgpu");

  it("are of more matrices than a device has groups along x", async () => {
    const { y, expected } = multiply({ batch: 65_600, rows: 1, inner: 2, columns: 3 }, transposes[0]!);
    expect(largestDifference(await y.data(), expected)).toBe(0);
    y.dispose();
  });

  it.each([1, 40])("are the same bit for bit in each run, in %i rows", async (rows) => {
    const [a, b] = [tf.randomNormal([rows, 700]), tf.randomNormal([700, 50])];
    const runs = [0, 1, 2].map(() => product({ a, b, batch: 1, rows, inner: 700, columns: 50 }, [rows, 50]));
    const [first, ...others] = await Promise.all(runs.map((run) => run.data()));
    for (const other of others) expect(other).toEqual(first);
    tf.dispose([a, b, ...runs]);
  });
});
