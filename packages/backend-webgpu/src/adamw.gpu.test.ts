import { adamwCases, drawParameter, testKernel, useBackend } from "@heddle/conformance";
import { adamwOperation, adamwStep } from "@heddle/core";
import * as tf from "@tensorflow/tfjs-core";
import { describe, expect, it } from "vitest";
import { adamwWebGpu } from "./adamw.ts";

const rates = {
  step: 3,
  learningRate: 0.1,
  beta1: 0.9,
  beta2: 0.99,
  epsilon: 1e-8,
  weightDecay: 0.1,
};
const call = adamwCases.find(({ name }) => name === "[65, 129]")!;

describe("adamwStep on webgpu", () => {
  useBackend("webgpu");
  testKernel(adamwOperation, adamwWebGpu, adamwCases, { forward: 1e-6 });

  it("is within two parts in a million of the formula in double precision", async () => {
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
        expect(Math.abs(found[at]![i]! - expected)).toBeLessThan(2e-6 * size);
      within(0, decayed - rate * (kept + added), Math.abs(decayed) + rate * terms);
      within(1, kept + added, terms);
      within(2, newSquare, newSquare);
    }
    tf.dispose([inputs, next]);
  });

  it.each(["[65, 129]", "in place"])("leaves what it is given, unless that is given up: %s", async (of) => {
    const given = adamwCases.find(({ name }) => name === of)!.make();
    const inputs = [given.value, given.gradient, given.mean, given.square];
    const before = await Promise.all(inputs.map((tensor) => tensor.data()));
    const apart = adamwStep({ ...given, inPlace: false });
    expect(await Promise.all(inputs.map((tensor) => tensor.data()))).toEqual(before);
    const over = adamwStep({ ...given, inPlace: true });
    expect(over.map(({ dataId }) => dataId)).toEqual(inputs.toSpliced(1, 1).map(({ dataId }) => dataId));
    expect(await given.gradient.data()).toEqual(before[1]);
    for (const [i, tensor] of over.entries()) expect(await tensor.data()).toEqual(await apart[i]!.data());
    tf.dispose([inputs, apart, over]);
  });

  it("takes tensors without values", async () => {
    const empty = tf.zeros([0, 3]);
    const next = adamwStep({ ...rates, value: empty, gradient: empty, mean: empty, square: empty });
    for (const tensor of next) expect(await tensor.data()).toEqual(new Float32Array());
    tf.dispose([empty, next]);
  });

  it.each([0, 1, 2])("writes no tensor that another shares: %i of value, mean and square", async (at) => {
    const given = call.make();
    const { gradient } = given;
    const old = [given.value, given.mean, given.square];
    const apart = adamwStep(given);
    const shared = tf.clone(old[at]!);
    const before = await shared.data();
    const next = adamwStep({ ...given, inPlace: true });
    expect(next.map(({ dataId }, i) => dataId === old[i]!.dataId)).toEqual([0, 1, 2].map((i) => i !== at));
    expect(await shared.data()).toEqual(before);
    for (const [i, tensor] of next.entries()) expect(await tensor.data()).toEqual(await apart[i]!.data());
    tf.dispose([gradient, old, apart, shared, next]);
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
