import * as tf from "@tensorflow/tfjs-core";
import type { Tensor } from "@tensorflow/tfjs-core";
import {
  drawParameter,
  expectGradients,
  largestDifference,
  plainContext,
  useBackend,
} from "@heddle/conformance";
import { longformer, slidingWindow } from "@heddle/attention";
import { createWeights } from "@heddle/core";
import type { WeightTree } from "@heddle/core";
import { describe, expect, it } from "vitest";
import { dropoutAt } from "./context.ts";
import { crossAttention } from "./cross-attention.ts";
import { embedding } from "./embedding.ts";
import { feedForward } from "./feed-forward.ts";
import { linear } from "./linear.ts";
import { layerNorm, rmsNorm } from "./norms.ts";

/** Gives every parameter of a tree drawn values. */
function fill(weights: WeightTree): WeightTree {
  for (const parameter of weights.all.values()) {
    const drawn = drawParameter(parameter.name, parameter.shape);
    parameter.assign(drawn.tensor());
    drawn.dispose();
  }
  return weights;
}
const names = (weights: WeightTree): string[] =>
  [...weights.all.values()].map(({ name, shape }) => `${name} [${shape.join(", ")}]`);

describe.each(["cpu", "wasm"] as const)("layers on %s", (backend) => {
  useBackend(backend);

  it.each([
    ["linear", [4, 8], [8, 4]],
    ["conv1d", [8, 4], [4, 8]],
  ] as const)("feedForward: two layers under their names, in layout %s", async (layout, down, up) => {
    const weights = createWeights();
    const layer = feedForward(weights, {
      width: 4,
      innerWidth: 8,
      activation: "gelu_new",
      layout,
      names: { up: "c_fc", down: "c_proj" },
    });
    expect(names(weights)).toEqual([
      `c_fc.weight [${up.join(", ")}]`,
      "c_fc.bias [8]",
      `c_proj.weight [${down.join(", ")}]`,
      "c_proj.bias [4]",
    ]);
    fill(weights);
    const x = drawParameter("x", [2, 3, 4]);
    const out = tf.tidy(() => layer(x.tensor()));
    expect(out.shape).toEqual([2, 3, 4]);
    out.dispose();
    await expectGradients(() => layer(x.tensor()), [x, ...weights.all.values()]);
    x.dispose();
    weights.dispose();
  });

  it("feedForward: four times as wide inside, gelu, up and down, unless told otherwise", () => {
    const weights = createWeights();
    const layer = feedForward(weights, { width: 1 });
    expect(names(weights)).toEqual([
      "up.weight [4, 1]",
      "up.bias [4]",
      "down.weight [1, 4]",
      "down.bias [1]",
    ]);
    weights.all.get("up.weight")!.assign(Float32Array.of(1, 0, -1, 2));
    weights.all.get("down.weight")!.assign(Float32Array.of(1, 1, 1, 0));
    weights.all.get("down.bias")!.assign(Float32Array.of(0.5));
    const out = tf.tidy(() => layer(tf.ones([1, 1])));
    // gelu(1) + gelu(-1) = erf(1 / sqrt(2)).
    expect(out.dataSync()[0]).toBeCloseTo(0.5 + 0.6826895, 5);
    out.dispose();
    weights.dispose();
  });

  it("feedForward and norms: take a residual", () => {
    const weights = createWeights();
    const feed = feedForward(weights, { width: 4 });
    const [norm, rms] = [layerNorm(weights, "ln_1", { width: 4 }), rmsNorm(weights, "norm", { width: 4 })];
    fill(weights);
    tf.tidy(() => {
      const [x, residual] = [tf.tensor2d([[1, 2, 3, 6]]), tf.tensor2d([[4, -2, 0, 1]])];
      const sum = tf.add(x, residual);
      const expected = [tf.add(feed(x), residual), norm(sum), rms(sum)];
      [feed, norm, rms].forEach((layer, i) => {
        const found = layer(x, { residual });
        expect(largestDifference(found.dataSync(), expected[i]!.dataSync())).toBeLessThan(1e-6);
      });
    });
    weights.dispose();
  });

  it("norms: start as the plain normalisation, and have gradients", async () => {
    const weights = createWeights();
    const [layer, rms] = [layerNorm(weights, "ln_1", { width: 4 }), rmsNorm(weights, "norm", { width: 4 })];
    expect(names(weights)).toEqual(["ln_1.weight [4]", "ln_1.bias [4]", "norm.weight [4]"]);
    const [a, b] = tf.tidy(() => {
      const x = tf.tensor2d([[1, 2, 3, 6]]);
      return [layer(x), rms(x)];
    }) as [Tensor, Tensor];
    const deviation = Math.sqrt(3.5 + 1e-5);
    expect(
      largestDifference(
        a.dataSync(),
        [-2, -1, 0, 3].map((value) => value / deviation),
      ),
    ).toBeLessThan(1e-6);
    const root = Math.sqrt(12.5 + 1e-6);
    expect(
      largestDifference(
        b.dataSync(),
        [1, 2, 3, 6].map((value) => value / root),
      ),
    ).toBeLessThan(1e-6);
    tf.dispose([a, b]);
    fill(weights);
    const x = drawParameter("x", [3, 4]);
    const parameters = [...weights.all.values()];
    await expectGradients(() => layer(x.tensor()), [x, ...parameters.slice(0, 2)]);
    await expectGradients(() => rms(x.tensor()), [x, parameters[2]!]);
    x.dispose();
    weights.dispose();
  });

  it("norms: take an epsilon", () => {
    const weights = createWeights();
    const [layer, rms] = [
      layerNorm(weights, "a", { width: 2, epsilon: 8 }),
      rmsNorm(weights, "b", { width: 2, epsilon: 11 }),
    ];
    const [a, b] = tf.tidy(() => [layer(tf.tensor2d([[1, 3]])), rms(tf.tensor2d([[1, 3]]))]) as [
      Tensor,
      Tensor,
    ];
    expect(largestDifference(a.dataSync(), [-1 / 3, 1 / 3])).toBeLessThan(1e-6);
    expect(largestDifference(b.dataSync(), [0.25, 0.75])).toBeLessThan(1e-6);
    tf.dispose([a, b]);
    weights.dispose();
  });

  it("embedding and linear: rows and products under their names", async () => {
    const weights = createWeights();
    const [rows, product] = [
      embedding(weights, "wte", { size: 3, width: 2 }),
      linear(weights, "head", { in: 2, out: 3, bias: false }),
    ];
    expect(names(weights)).toEqual(["wte.weight [3, 2]", "head.weight [3, 2]"]);
    weights.all.get("wte.weight")!.assign(Float32Array.of(0, 1, 2, 3, 4, 5));
    weights.all.get("head.weight")!.assign(Float32Array.of(1, 0, 0, 1, 1, 1));
    const run = (): Tensor => product(rows(tf.tensor2d([[2, 0, 2]], [1, 3], "int32")));
    const out = tf.tidy(run);
    expect(out.shape).toEqual([1, 3, 3]);
    expect([...out.dataSync()]).toEqual([4, 5, 9, 0, 1, 1, 4, 5, 9]);
    out.dispose();
    await expectGradients(run, [...weights.all.values()]);
    weights.dispose();
  });

  it("crossAttention: from one sequence to another of its own width, without its padding", async () => {
    const weights = createWeights();
    const layer = crossAttention(weights.at("cross"), { width: 6, memoryWidth: 4, heads: 3 });
    expect(names(weights)).toEqual(
      [
        "query.weight [6, 6]",
        "query.bias [6]",
        "key.weight [6, 4]",
        "key.bias [6]",
        "value.weight [6, 4]",
        "value.bias [6]",
      ].map((name) => `cross.${name}`),
    );
    fill(weights);
    const [x, memory] = [drawParameter("x", [2, 3, 6]), drawParameter("memory", [2, 5, 4])];
    const keep = Int32Array.of(1, 1, 1, 1, 1, 1, 1, 0, 0, 0);
    const run = (kept?: Int32Array, values = memory.tensor()): Tensor =>
      layer(x.tensor(), { values, ...(kept && { keep: kept }) }, plainContext(3));
    const results = tf.tidy(() => {
      const row = tf.slice(memory.tensor(), [1, 0, 0], [1, 2, 4]);
      const cut = tf.concat([row, row], 0);
      return [run(), run(keep), run(undefined, cut)];
    });
    const [whole, kept, cut] = results.map((result) => [...result.dataSync()]);
    expect(results[0]!.shape).toEqual([2, 3, 6]);
    expect(kept!.slice(0, 18)).toEqual(whole!.slice(0, 18));
    expect(largestDifference(kept!.slice(18), whole!.slice(18))).toBeGreaterThan(1e-3);
    expect(largestDifference(kept!.slice(18), cut!.slice(18))).toBeLessThan(1e-6);
    tf.dispose(results);
    await expectGradients(() => run(keep), [x, memory, ...weights.all.values()]);
    for (const each of [x, memory]) each.dispose();
    weights.dispose();
  });

  it("crossAttention: takes a pattern, and drops in training", () => {
    const weights = createWeights();
    const spec = { width: 4, heads: 2, attention: slidingWindow({ before: 1 }), dropout: 0.5 };
    const layer = crossAttention(weights, spec);
    fill(weights);
    const [x, memory] = [drawParameter("x", [1, 3, 4]), drawParameter("memory", [1, 4, 4])];
    const run = (training?: { seed: number; step: number }, values = memory.tensor()): Tensor =>
      layer(x.tensor(), { values }, { ...plainContext(3), ...(training && { training }) });
    const results = tf.tidy(() => {
      const last = tf.tensor3d([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 9, 9, 9, 9], [1, 4, 4]);
      return [
        run(),
        run(undefined, tf.add(memory.tensor(), last)),
        run({ seed: 1, step: 0 }),
        run({ seed: 1, step: 0 }),
      ];
    });
    const [a, b, c, d] = results.map((result) => [...result.dataSync()]);
    expect(b).toEqual(a);
    expect(d).toEqual(c);
    expect(c).not.toEqual(a);
    tf.dispose(results);
    for (const each of [x, memory]) each.dispose();
    weights.dispose();
  });

  it("dropoutAt: x itself outside training", () => {
    const x = tf.ones([100]);
    const context = { ...plainContext(1), training: { seed: 1, step: 1 } };
    expect(dropoutAt(x, 0.5, "p", plainContext(1))).toBe(x);
    expect(dropoutAt(x, 0, "p", context)).toBe(x);
    for (const rate of [-0.5, NaN, 1])
      expect(() => dropoutAt(x, rate, "p", context)).toThrow("dropout: rate must be");
    const out = dropoutAt(x, 0.5, "p", context);
    const values = [...out.dataSync()];
    expect(new Set(values)).toEqual(new Set([0, 2]));
    expect(values.filter((value) => value === 0).length).toBeGreaterThan(30);
    tf.dispose([x, out]);
  });
});

describe("what crossAttention refuses", () => {
  it.each<[object, string]>([
    [{ heads: 3 }, "cross: attention: width must be a multiple of the 3 heads, got 4"],
    [
      { attention: longformer({ window: 2 }) },
      'cross: attention must be a pattern, since a mechanism attends within one sequence, got {"kind":"mechanism","name":"longformer"',
    ],
    [
      { attention: null },
      "cross: attention must be a pattern, since a mechanism attends within one sequence, got null",
    ],
    [{ heads: 0 }, "cross: attention: heads must be an integer >= 1, got 0"],
    [{ dropout: -1 }, "cross: attention: dropout must be a number from 0 to 0.9999999"],
  ])("%j", (spec, message) => {
    expect(() => crossAttention(createWeights().at("cross"), { width: 4, heads: 2, ...spec })).toThrow(
      message,
    );
  });
});
