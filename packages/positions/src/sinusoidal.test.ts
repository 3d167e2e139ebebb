import * as tf from "@tensorflow/tfjs-core";
import { largestDifference, readGolden, testPosition, useBackend } from "@heddle/conformance";
import { createWeights } from "@heddle/core";
import { describe, expect, it } from "vitest";
import { sinusoidal, sinusoids } from "./sinusoidal.ts";

describe("sinusoids", () => {
  // transformers computes the concatenated angles in float32: at position 100 they are off by some 1e-5.
  it.each([
    ["interleaved", 16, 1e-6],
    ["interleaved", 7, 1e-6],
    ["concatenated", 16, 3e-5],
    ["concatenated", 7, 3e-5],
  ] as const)("are transformers' tables: %s, width %d", async (layout, width, within) => {
    const golden = await readGolden(new URL("./goldens/positions.safetensors", import.meta.url));
    const name = `sinusoidal-${layout}-${width}`;
    const table = sinusoids(golden.integers(`${name}/input/positions`), width, { layout });
    expect(largestDifference(table, golden.floats(`${name}/output/table`))).toBeLessThan(within);
  });

  it("have the sines and cosines of a position side by side, or apart", () => {
    const at1 = [Math.sin(1), Math.cos(1), Math.sin(0.01), Math.cos(0.01)].map(Math.fround);
    expect([...sinusoids(Int32Array.of(1), 4)]).toEqual(at1);
    const wide = [Math.sin(1), Math.sin(1e-4), Math.cos(1), Math.cos(1e-4)].map(Math.fround);
    expect([...sinusoids(Int32Array.of(1), 4, { layout: "concatenated" })]).toEqual(wide);
  });
});

describe.each(["cpu", "wasm"] as const)("sinusoidal on %s", (backend) => {
  useBackend(backend);
  testPosition(sinusoidal(), { make: sinusoidal });
  testPosition(sinusoidal({ layout: "concatenated", base: 100 }), { make: sinusoidal });

  it("adds its table to each batch row", () => {
    const built = sinusoidal().build(createWeights(), { width: 4, heads: 1, maxLength: 1, table: "t" });
    const out = tf.tidy(() => built.onEmbedding!(tf.ones([2, 1, 4]), Int32Array.of(0, 1)));
    const expected = [...sinusoids(Int32Array.of(0, 1), 4)].map((value) => Math.fround(value + 1));
    expect([...out.dataSync()]).toEqual(expected);
    out.dispose();
  });
});

it("sinusoidal refuses what is no layout and no base", () => {
  // @ts-expect-error No such layout.
  expect(() => sinusoidal({ layout: "mixed" })).toThrow(
    'sinusoidal: layout must be one of "interleaved", "concatenated", got "mixed"',
  );
  expect(() => sinusoidal({ base: 0 })).toThrow("sinusoidal: base must be a number >= 1, got 0");
});
