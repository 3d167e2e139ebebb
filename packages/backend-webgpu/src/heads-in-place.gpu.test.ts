import { attention, causal, mergeHeads, splitHeads } from "@heddle/attention";
import { backendStarter, largestDifference, useBackend } from "@heddle/conformance";
import { activeBackend, differentiate, randomStream, startBackend } from "@heddle/core";
import * as tf from "@tensorflow/tfjs-core";
import type { Tensor } from "@tensorflow/tfjs-core";
import { describe, expect, it } from "vitest";
import { isInPlace } from "./heads-in-place.ts";

/** The values of a tensor in one of its own. */
async function copied(x: Tensor): Promise<Tensor> {
  return tf.tensor(await x.data(), x.shape);
}

const dispatches = (): number =>
  (tf.backend() as unknown as { dispatchCountInPass: number }).dispatchCountInPass;

describe("heads in place", () => {
  useBackend("webgpu");

  it.each([
    { length: 40, heads: 3, headWidth: 8, before: 0 },
    { length: 40, heads: 2, headWidth: 5, before: 3 },
    { length: 2, heads: 3, headWidth: 8, before: 4 },
    { length: 1, heads: 2, headWidth: 6, before: 0 },
  ])("are what attention makes of copies: %j", async ({ length, heads, headWidth, before }) => {
    const width = before + 3 * heads * headWidth;
    const values = randomStream({ seed: 3, path: "heads" }).normals(2 * length * width);
    const x = tf.tensor3d(values, [2, length, width]);
    const pattern = causal();
    const parts = (rows: Tensor): Tensor[] =>
      [0, 1, 2].map((n) => splitHeads({ x: rows, heads, headWidth, begin: before + n * heads * headWidth }));
    const of = ([q, k, v]: Tensor[]): Tensor => mergeHeads(attention({ q: q!, k: k!, v: v!, pattern }));
    // Read one by one, each has a buffer of its own.
    const apart = parts(x);
    const copies = await Promise.all(apart.map(copied));
    const expected = tf.tidy(() => of(copies));
    const heldBefore = activeBackend()!.memory().tensors;
    await activeBackend()!.finish();
    const found = tf.tidy(() => of(parts(x)));
    expect(dispatches()).toBe(1);
    expect(activeBackend()!.memory().tensors).toBe(heldBefore + 1);
    expect(largestDifference(await found.data(), await expected.data())).toBe(0);

    const { value, gradients } = differentiate(() => of(parts(x)), [x]);
    const [dx] = gradients as [Tensor];
    const byCopies = differentiate(() => of(copies), copies);
    expect(largestDifference(await value.data(), await byCopies.value.data())).toBeLessThan(1e-6);
    const joined = tf.tidy(() =>
      tf.pad(
        tf.concat(
          byCopies.gradients.map((dy) => mergeHeads(dy!)),
          2,
        ),
        [
          [0, 0],
          [0, 0],
          [before, 0],
        ],
      ),
    );
    expect(largestDifference(await dx.data(), await joined.data())).toBeLessThan(1e-5);
    tf.dispose([x, found, expected, value, dx, byCopies.value, joined, ...apart, ...copies]);
    tf.dispose(byCopies.gradients.map((dy) => dy!));
  });

  it("are copied for whoever else asks, with the values that the rows had", async () => {
    const x = tf.tensor3d(
      Array.from({ length: 24 }, (_, i) => i),
      [1, 3, 8],
    );
    const heads = splitHeads({ x, heads: 2, headWidth: 2, begin: 3 });
    x.dispose();
    expect(isInPlace(heads.dataId)).toBe(true);
    const sum = tf.add(heads, 0);
    expect(isInPlace(heads.dataId)).toBe(false);
    const expected = [3, 4, 11, 12, 19, 20, 5, 6, 13, 14, 21, 22];
    expect([...(await sum.data())]).toEqual(expected);
    expect([...(await heads.data())]).toEqual(expected);
    tf.dispose([heads, sum]);
  });

  it("of another shape, and clones, have the same values", async () => {
    const x = tf.tensor3d(
      Array.from({ length: 12 }, (_, i) => i),
      [1, 3, 4],
    );
    const heads = splitHeads({ x, heads: 2 });
    const [flat, clone] = [tf.reshape(heads, [6, 2]), tf.clone(heads)];
    heads.dispose();
    const merged = mergeHeads(clone);
    expect([...(await merged.data())]).toEqual([...(await x.data())]);
    expect([...(await flat.data())]).toEqual([0, 1, 4, 5, 8, 9, 2, 3, 6, 7, 10, 11]);
    tf.dispose([x, flat, clone, merged]);
  });

  it("free the rows with them", async () => {
    const before = activeBackend()!.memory();
    tf.tidy(() => {
      splitHeads({ x: tf.ones([1, 3, 8]), heads: 2 });
    });
    expect(activeBackend()!.memory()).toEqual(before);
  });

  it("are copied while another backend is active, and given to others by dataToGPU", async () => {
    const x = tf.tensor3d(
      Array.from({ length: 12 }, (_, i) => i),
      [1, 3, 4],
    );
    const [heads, others] = [splitHeads({ x, heads: 2 }), splitHeads({ x, heads: 2, headWidth: 1 })];
    const other = await startBackend(await backendStarter("cpu"));
    expect([...(await heads.data())]).toEqual([0, 1, 4, 5, 8, 9, 2, 3, 6, 7, 10, 11]);
    await other.dispose();
    const onDevice = others.dataToGPU();
    expect([...(await onDevice.tensorRef.data())]).toEqual([0, 4, 8, 1, 5, 9]);
    tf.dispose([x, heads, others, onDevice.tensorRef]);
  });
});

it("heads in place that outlive their backend hold nothing", async () => {
  const backend = await startBackend(await backendStarter("webgpu"));
  const before = backend.memory();
  const x = tf.ones([1, 3, 8]);
  const heads = splitHeads({ x, heads: 2 });
  await backend.dispose();
  tf.dispose([x, heads]);
  expect(backend.memory()).toEqual(before);
});
