import { adamwCases, drawParameter, testKernel, useBackend, wasmVariants } from "@heddle/conformance";
import { adamwOperation, adamwStep } from "@heddle/core";
import * as tf from "@tensorflow/tfjs-core";
import { describe, expect, it } from "vitest";
import { adamwWasm } from "./adamw.ts";
import { wasm } from "./wasm.ts";

const call = adamwCases.find(({ name }) => name === "[65, 129]")!;

describe.each(wasmVariants)("adamwStep on wasm %j", (options) => {
  useBackend(wasm(options));
  testKernel(adamwOperation, adamwWasm, adamwCases, { forward: 1e-6 });

  it("is within a part in a million of the formula in double precision", async () => {
    const given = call.make();
    const { value, gradient, mean, square, step, learningRate, beta1, beta2, epsilon, weightDecay } = given;
    const inputs = [value, gradient, mean, square];
    const old = await Promise.all(inputs.map((tensor) => tensor.data()));
    const next = adamwStep(given);
    const found = await Promise.all(next.map((tensor) => tensor.data()));
    for (let i = 0; i < value.size; i++) {
      const [v, g, m, s] = old.map((values) => values[i]!) as [number, number, number, number];
      const [kept, added] = [beta1 * m, (1 - beta1) * g];
      const newSquare = beta2 * s + (1 - beta2) * g * g;
      const root = Math.sqrt(newSquare) / Math.sqrt(1 - beta2 ** step) + epsilon;
      const rate = learningRate / (1 - beta1 ** step) / root;
      const decayed = v * (1 - learningRate * weightDecay);
      // What a sum may be off by depends on its terms, which may cancel.
      const terms = Math.abs(kept) + Math.abs(added);
      const within = (at: number, expected: number, size: number): void =>
        expect(Math.abs(found[at]![i]! - expected)).toBeLessThan(1e-6 * size);
      within(0, decayed - rate * (kept + added), Math.abs(decayed) + rate * terms);
      within(1, kept + added, terms);
      within(2, newSquare, newSquare);
    }
    tf.dispose([inputs, next]);
  });

  it("leaves what it is given, unless that is given up", async () => {
    const given = call.make();
    const { value, gradient, mean, square } = given;
    const before = await Promise.all([value, gradient, mean, square].map((tensor) => tensor.data()));
    const apart = adamwStep(given);
    expect(await Promise.all([value, gradient, mean, square].map((tensor) => tensor.data()))).toEqual(before);
    const over = adamwStep({ ...given, inPlace: true });
    expect(over.map(({ dataId }) => dataId)).toEqual([value, mean, square].map(({ dataId }) => dataId));
    expect(await gradient.data()).toEqual(before[1]);
    for (const [i, tensor] of over.entries()) expect(await tensor.data()).toEqual(await apart[i]!.data());
    tf.dispose([value, gradient, mean, square, apart, over]);
  });

  it("writes no value that another tensor shares", async () => {
    const given = call.make();
    const { value, gradient, mean, square } = given;
    const shared = tf.clone(value);
    const before = await shared.data();
    const [next, ...moments] = adamwStep({ ...given, inPlace: true });
    expect(next.dataId).not.toBe(value.dataId);
    expect(moments.map(({ dataId }) => dataId)).toEqual([mean.dataId, square.dataId]);
    expect(await shared.data()).toEqual(before);
    tf.dispose([value, gradient, mean, square, shared, next, ...moments]);
  });

  it("changes a parameter in its place", () => {
    const parameter = drawParameter("a", [65, 129]);
    const { dataId } = parameter.tensor();
    tf.tidy(() => {
      const [value] = adamwStep({ ...call.make(), value: parameter.tensor(), inPlace: true });
      parameter.replace(value);
    });
    expect(parameter.tensor().dataId).toBe(dataId);
    expect(parameter.exclusive).toBe(true);
    parameter.dispose();
  });
});
