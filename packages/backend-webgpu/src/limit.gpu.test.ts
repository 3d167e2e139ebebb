import { attention, causal, mergeHeads, splitHeads } from "@heddle/attention";
import {
  drawn,
  kernelRuns,
  relativeDifference,
  useBackend,
  watchBindings,
  withBindingLimit,
} from "@heddle/conformance";
import type { KernelRun } from "@heddle/conformance";
import {
  activation,
  createWeights,
  crossEntropy,
  differentiate,
  dropout,
  HeddleError,
  layerNorm,
  matmul,
  residual,
  rmsNorm,
  rotary,
} from "@heddle/core";
import * as tf from "@tensorflow/tfjs-core";
import type { Tensor } from "@tensorflow/tfjs-core";
import { describe, expect, it } from "vitest";

/** Their programs take half a second each to compile. */
const attentionCases = new Set([
  "strided, many tiles",
  "a capacity beyond the keys",
  "grouped queries, odd widths",
  "dropout, keys in steps",
  "a bias by head and distance",
  "one query of a long cache",
]);

/** Without what is no operation. */
const operations = [...new Set(kernelRuns.map(({ operation }) => operation))].filter(
  (operation) => operation !== "packing",
);

/** Calls of an operation that are tested together. */
function runsOf(operation: string): readonly (readonly [name: string, runs: readonly KernelRun[]])[] {
  const all = kernelRuns.filter((run) => run.operation === operation);
  if (operation.startsWith("attention"))
    return all
      .filter(({ name }) => attentionCases.has(name.replace(/^attention: |^.* of /, "")))
      .map((run) => [run.name, [run]]);
  // They are many; all tiles and layouts are among these.
  return [[operation, operation === "linear" ? all.filter((_, i) => i % 5 === 0) : all]];
}

async function valuesOf(tensors: readonly Tensor[]): Promise<readonly ArrayLike<number>[]> {
  const values = await Promise.all(tensors.map((tensor) => tensor.data()));
  tf.dispose([...tensors]);
  return values;
}

function expectSame(
  found: readonly ArrayLike<number>[],
  expected: readonly ArrayLike<number>[],
  within = 1e-6,
): void {
  expect(found.length).toBe(expected.length);
  found.forEach((values, i) =>
    expect(relativeDifference(values, expected[i]!), `result ${i}`).toBeLessThanOrEqual(within),
  );
}

/** What parts begin at multiples of. */
const ALIGNED = 256;

/** Whether a run has an array that is twice as large as a binding can be; then it gives the same. */
async function isSameInParts({ run }: KernelRun): Promise<boolean> {
  let most = 0;
  const whole = run({
    within(kernel) {
      const { value, programs } = watchBindings(kernel);
      most = Math.max(0, ...programs.flat());
      return value;
    },
  });
  const expected = await valuesOf(whole);
  const limit = Math.ceil(most / 2 / ALIGNED) * ALIGNED;
  if (most <= limit) return false;
  expectSame(await valuesOf(run({ within: (kernel) => withBindingLimit(limit, kernel) })), expected);
  return true;
}

/** Calls whose groups see a share of every large array, of an x [2, 2, 12, 400]. */
const inWindows: Readonly<Record<string, (x: Tensor, weight: Tensor) => Tensor>> = {
  activation: (x) => activation({ x, kind: "gelu" }),
  crossEntropy: (logits) => crossEntropy({ logits, labels: new Int32Array(48).fill(7), labelSmoothing: 0.1 }),
  dropout: (x) => dropout({ x, rate: 0.3, address: { seed: 1, step: 0, path: "dropout" } }),
  layerNorm: (x, weight) => layerNorm({ x, residual: x, weight, bias: weight }),
  residual: (x, y) => residual(x, y),
  rmsNorm: (x, weight) => rmsNorm({ x, residual: x, weight }),
  rotary: (x) => rotary({ x, positions: new Int32Array(12).fill(3) }),
};

describe("tensors beyond the binding limit", () => {
  useBackend("webgpu");

  // The buffers of most devices are at most twice as large as what they bind.
  it.each(operations.flatMap(runsOf))("are split: %s", async (_, runs) => {
    let count = 0;
    for (const run of runs) if (await isSameInParts(run)) count++;
    expect(count).toBeGreaterThan(0);
  });

  it.each(Object.keys(inWindows))("are split into as many parts as there have to be: %s", async (name) => {
    const [x, weight] = [drawn("x", [2, 2, 12, 400]), drawn("weight", [400])];
    const results = (): Tensor[] =>
      tf.tidy(() => {
        const { value, gradients } = differentiate(() => inWindows[name]!(x, weight), [x]);
        return [value, gradients[0]!];
      });
    const expected = await valuesOf(results());
    expectSame(await valuesOf(withBindingLimit(12_288, results)), expected);
    tf.dispose([x, weight]);
  });

  it.each([
    // Of q, k and v a batch row takes 98304 bytes, as nearly does a head among the others; apart, 8192 are enough.
    ["a batch row at a time", 2, 4, 100_096],
    ["some heads at a time, apart", 2, 4, 30_208],
    ["a head of those that share their keys at a time", 1, 2, 12_288],
  ])("are split between heads that lie in rows: %s", async (_, batch, keyHeads, limit) => {
    const [heads, headWidth, pattern] = [4, 32, causal()];
    const fused = drawn("fused", [batch, 64, (heads + 2 * keyHeads) * headWidth]);
    const dy = drawn("dy", [batch, 64, heads * headWidth]);
    const results = (): Tensor[] => {
      const { value, gradients } = differentiate(
        () => {
          const part = (before: number, own: number): Tensor =>
            splitHeads({ x: fused, heads: own, headWidth, begin: before * headWidth });
          const [q, k, v] = [part(0, heads), part(heads, keyHeads), part(heads + keyHeads, keyHeads)];
          return mergeHeads(attention({ q, k, v, pattern }));
        },
        [fused],
        dy,
      );
      return [value, gradients[0]!];
    };
    const expected = await valuesOf(results());
    expectSame(await valuesOf(withBindingLimit(limit, results)), expected);
    tf.dispose([fused, dy]);
  });

  it("are split where windows of later groups are longer than those of the first", async () => {
    const [x, weight] = [drawn("x", [3, 2047]), drawn("weight", [2047])];
    const results = (): Tensor[] => [layerNorm({ x, weight, bias: weight })];
    const expected = await valuesOf(results());
    expectSame(await valuesOf(withBindingLimit(8192, results)), expected);
    tf.dispose([x, weight]);
  });

  it("are split where weights of one input are joined, and where they are read apart again", async () => {
    const weights = createWeights({ seed: 1 });
    const layers = weights.linears(["q", "k", "v"], { in: 32, out: [64, 64, 64] });
    const x = drawn("x", [2, 32]);
    const plain = async (): Promise<readonly ArrayLike<number>[]> =>
      Promise.all([...weights.all.values()].map((parameter) => parameter.tensor().data()));
    const before = await plain();
    const expected = await valuesOf([tf.tidy(() => layers(x)[0]!.x)]);
    await plain();
    const found = withBindingLimit(8192, () => tf.tidy(() => layers(x)[0]!.x));
    expectSame(await valuesOf([found]), expected);
    withBindingLimit(8192, () => void weights.all.get("q.weight")!.tensor());
    expectSame(await plain(), before);
    x.dispose();
    weights.dispose();
  });

  it("are split where the gradients of what is used twice are added up", async () => {
    const x = drawn("x", [64, 80]);
    const results = (): Tensor[] => {
      const { value, gradients } = differentiate(
        () => residual(activation({ x, kind: "gelu" }), activation({ x, kind: "tanh" })),
        [x],
        x,
      );
      return [value, gradients[0]!];
    };
    const expected = await valuesOf(results());
    expectSame(await valuesOf(withBindingLimit(8192, results)), expected);
    x.dispose();
  });

  it("are split where gradients are clipped", async () => {
    const x = drawn("x", [64, 5, 24]);
    const results = (): Tensor[] => [
      tf.mul(x, x),
      tf.mul(0.5, x),
      tf.sum(x, -1),
      tf.sum(x, [0, 2], true),
      tf.sum(x),
    ];
    const expected = await valuesOf(results());
    const found = withBindingLimit(8192, results);
    expect(found.map(({ shape }) => shape)).toEqual([x.shape, x.shape, [64, 5], [1, 5, 1], []]);
    expectSame(await valuesOf(found), expected, 1e-5);
    x.dispose();
  });

  it("are refused by name where a program would see more parts than the device lets it", () => {
    const [a, b] = [tf.ones([64, 64]), tf.ones([64, 64])];
    const multiply = (): void => void tf.tidy(() => matmul({ a, b }));
    expect(() => withBindingLimit(2048, multiply)).toThrow(HeddleError);
    expect(() => withBindingLimit(2048, multiply)).toThrow(
      /^webgpu: product\.f32\.\S+ must see its tensors in at most 8 arrays of 2048 bytes, .*"a":16384,"b":16384,"y":16384/,
    );
    tf.dispose([a, b]);
  });
});
