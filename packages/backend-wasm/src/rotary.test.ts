import {
  drawParameter,
  expectGradients,
  rotaryCases,
  testKernel,
  useBackend,
  wasmVariants,
} from "@heddle/conformance";
import { rotary, rotaryOperation } from "@heddle/core";
import * as tf from "@tensorflow/tfjs-core";
import { describe, expect, it } from "vitest";
import { rotaryWasm } from "./rotary.ts";
import { wasm } from "./wasm.ts";

describe.each(wasmVariants)("rotary on wasm %j", (options) => {
  useBackend(wasm(options));
  testKernel(rotaryOperation, rotaryWasm, rotaryCases);

  it.each(["half", "interleaved"] as const)("%s: the gradient that differences give", async (pairs) => {
    const x = drawParameter("x", [2, 2, 3, 12]);
    const positions = Int32Array.of(0, 5, 9, 2, 3, 4);
    await expectGradients(() => rotary({ x: x.tensor(), positions, pairs, width: 10 }), [x]);
    x.dispose();
  });

  it("turns by the positions of the call, whatever is done to the list after another one", async () => {
    const positions = Int32Array.of(1);
    const turn = () => tf.tidy(() => rotary({ x: tf.tensor4d([1, 0], [1, 1, 1, 2]), positions }));
    turn().dispose();
    positions[0] = 2;
    const y = turn();
    expect([...(await y.data())]).toEqual([Math.cos(2), Math.sin(2)].map(Math.fround));
    y.dispose();
  });
});
