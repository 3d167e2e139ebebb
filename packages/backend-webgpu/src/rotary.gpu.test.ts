import { splitHeads } from "@heddle/attention";
import {
  drawn,
  drawParameter,
  expectGradients,
  rotaryCases,
  testKernel,
  useBackend,
} from "@heddle/conformance";
import { differentiate, rotary, rotaryOperation } from "@heddle/core";
import * as tf from "@tensorflow/tfjs-core";
import { describe, expect, it } from "vitest";
import { engine, onDevice } from "./engine.ts";
import { isInPlace } from "./heads-in-place.ts";
import { rotaryWebGpu } from "./rotary.ts";

describe("rotary on webgpu", () => {
  useBackend("webgpu");
  testKernel(rotaryOperation, rotaryWebGpu, [
    ...rotaryCases,
    {
      name: "four values at a time, some of them not turned",
      make: () => ({ x: drawn("x", [2, 3, 5, 20]), positions: Int32Array.of(0, 1, 2, 3, 70_000), width: 16 }),
    },
  ]);

  it.each(["half", "interleaved"] as const)("%s: the gradient that differences give", async (pairs) => {
    const x = drawParameter("x", [2, 2, 3, 12]);
    const positions = Int32Array.of(0, 5, 9, 2, 3, 4);
    await expectGradients(() => rotary({ x: x.tensor(), positions, pairs, width: 10 }), [x]);
    x.dispose();
  });

  it.each([
    { headWidth: 8, begin: 8, pairs: "half" },
    { headWidth: 6, begin: 3, pairs: "half" },
    { headWidth: 8, begin: 4, pairs: "interleaved" },
  ] as const)("turns heads where they lie in a product's rows: %j", async ({ pairs, ...part }) => {
    const rows = drawn("rows", [2, 5, 40]);
    const positions = Int32Array.from({ length: 10 }, (_, i) => 7 * i);
    const give = (copied: boolean) =>
      differentiate(() => {
        const heads = splitHeads({ x: rows, heads: 3, ...part });
        if (copied) onDevice(heads);
        const x = rotary({ x: heads, positions, pairs });
        expect(isInPlace(heads.dataId)).toBe(!copied);
        return x;
      }, [rows]);
    const [found, expected] = [give(false), give(true)];
    expect([...(await found.value.data())]).toEqual([...(await expected.value.data())]);
    expect([...(await found.gradients[0]!.data())]).toEqual([...(await expected.gradients[0]!.data())]);
    tf.dispose([rows, found.value, expected.value, found.gradients[0]!, expected.gradients[0]!]);
  });

  it("takes no tokens, and no heads", () => {
    for (const [heads, length] of [
      [3, 0],
      [0, 3],
    ] as const) {
      const x = tf.zeros([2, heads, length, 8]);
      const positions = new Int32Array(length);
      const { value, gradients } = differentiate(() => rotary({ x, positions }), [x]);
      expect([value.shape, gradients[0]!.shape]).toEqual([x.shape, x.shape]);
      tf.dispose([x, value, gradients[0]!]);
    }
  });

  const turn = (positions: Int32Array) =>
    tf.tidy(() => rotary({ x: tf.tensor4d([1, 0], [1, 1, 1, 2]), positions }));

  it("turns by the positions of the call, whatever is done to the list after another one", async () => {
    const positions = Int32Array.of(1);
    turn(positions).dispose();
    positions[0] = 2;
    const y = turn(positions);
    expect([...(await y.data())]).toEqual([Math.cos(2), Math.sin(2)].map(Math.fround));
    y.dispose();
  });

  it("keeps a few tables on the device, and gives the memory of others back", async () => {
    const { tensorMap } = engine();
    const count = () => (tensorMap as unknown as { numDataIds(): number }).numDataIds();
    const counts: number[] = [];
    for (let position = 0; position < 20; position++) {
      const y = turn(Int32Array.of(position));
      expect([...(await y.data())]).toEqual([Math.cos(position), Math.sin(position)].map(Math.fround));
      y.dispose();
      counts.push(count());
    }
    expect(counts.at(-1)).toBe(counts[5]);
  });
});
