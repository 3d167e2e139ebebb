import {
  activationCases,
  drawParameter,
  expectGradients,
  testKernel,
  useBackend,
  wasmVariants,
} from "@heddle/conformance";
import { activation, activationOperation, activations, differentiate } from "@heddle/core";
import * as tf from "@tensorflow/tfjs-core";
import { describe, expect, it } from "vitest";
import { activationWasm } from "./activation.ts";
import { wasm } from "./wasm.ts";

/** Numbers that are none, as an operation leaves them and with other bits, a file's for example. */
const nans = new Float32Array(
  Uint32Array.of(0x7fc00000, 0xffc00000, 0x7fffffff, 0x7f800001, 0xff812345).buffer,
);

describe.each(wasmVariants)("activation on wasm %j", (options) => {
  useBackend(wasm(options));
  testKernel(activationOperation, activationWasm, activationCases);

  it.each(activations)("%s: what is no number stays none, and nothing else becomes one", async (kind) => {
    const x = tf.tensor1d([...nans, 1]);
    const { value, gradients } = differentiate(() => activation({ x, kind }), [x]);
    const expected = [...nans.map(() => 1), 0].map(Boolean);
    expect([...(await value.data())].map(Number.isNaN)).toEqual(expected);
    if (kind !== "relu") expect([...(await gradients[0]!.data())].map(Number.isNaN)).toEqual(expected);
    tf.dispose([x, value, gradients[0]!]);
  });

  it.each([
    // x times a factor that is 0 there, as in PyTorch.
    ["gelu", NaN],
    ["gelu_new", NaN],
    ["silu", NaN],
    ["relu", 0],
    ["tanh", -1],
  ] as const)("%s: infinities, and the slopes towards them", async (kind, below) => {
    const x = tf.tensor1d([Infinity, 1e30, -1e30, -Infinity]);
    const { value, gradients } = differentiate(() => activation({ x, kind }), [x]);
    const [top, high, low, bottom] = await value.data();
    expect([top, bottom]).toEqual([kind === "tanh" ? 1 : Infinity, below]);
    expect([high, low]).toEqual(kind === "tanh" ? [1, -1] : [Math.fround(1e30), expect.closeTo(0, 5)]);
    const above = kind === "tanh" ? 0 : 1;
    const slopes = [...(await gradients[0]!.data())];
    [above, above, 0, 0].forEach((slope, i) => expect(slopes[i], `slope ${i}`).toBeCloseTo(slope, 5));
    tf.dispose([x, value, gradients[0]!]);
  });

  it.each(activations)("%s: the gradient that differences give", async (kind) => {
    const x = drawParameter("x", [3, 7]);
    // A difference across the corner of ReLU is that of neither side.
    if (kind === "relu")
      x.assign((await x.tensor().data()).map((value) => value + Math.sign(value)) as Float32Array);
    await expectGradients(() => activation({ x: x.tensor(), kind }), [x]);
    x.dispose();
  });
});
