import * as tf from "@tensorflow/tfjs-core";
import "@tensorflow/tfjs-backend-cpu";
import { beforeAll, describe, expect, it } from "vitest";
import { normal, ones } from "./initializers.ts";
import { explainRun } from "./operation.ts";
import { dropout } from "./operations/dropout.ts";
import { differentiate } from "./tape.ts";
import { createWeights } from "./weights.ts";

beforeAll(async () => {
  await tf.setBackend("cpu");
});
const read = (tensor: tf.Tensor): number[] => [...tensor.dataSync()];

describe("createWeights", () => {
  it("names parameters by path and ties those asked for twice", () => {
    const weights = createWeights();
    const a = weights
      .at("h.0")
      .at("ln_1")
      .parameter("weight", { shape: [3], init: ones });
    const b = weights.parameter("h.0.ln_1.weight", { shape: [3] });
    expect(a.name).toBe("h.0.ln_1.weight");
    expect(b).toBe(a);
    expect([...weights.declared.keys()]).toEqual(["h.0.ln_1.weight"]);
    expect(read(a.tensor())).toEqual([1, 1, 1]);
  });

  it("gives the same first values whatever the order of declaration", () => {
    const spec = { shape: [4], init: normal(1) };
    const one = createWeights({ seed: 5 });
    const two = createWeights({ seed: 5 });
    const [a1, b1] = [one.parameter("a", spec), one.parameter("b", spec)];
    const [b2, a2] = [two.parameter("b", spec), two.parameter("a", spec)];
    expect(read(a1.tensor())).toEqual(read(a2.tensor()));
    expect(read(b1.tensor())).toEqual(read(b2.tensor()));
    expect(read(a1.tensor())).not.toEqual(read(b1.tensor()));
    expect(read(createWeights({ seed: 6 }).parameter("a", spec).tensor())).not.toEqual(read(a1.tensor()));
  });

  it("allocates nothing before a value is read", () => {
    const before = tf.memory().numTensors;
    const big = createWeights().parameter("wte.weight", { shape: [50_257, 1_600] });
    expect(big.size).toBe(80_411_200);
    expect(big.filled).toBe(false);
    expect(tf.memory().numTensors).toBe(before);
  });

  it("refuses another shape for the same name, with both", () => {
    const weights = createWeights();
    weights.parameter("a", { shape: [2, 3] });
    expect(() => weights.parameter("a", { shape: [3, 2] })).toThrow(
      "a: shape must be [2,3], as declared before, got [3,2]",
    );
    expect(() => weights.parameter("b", { shape: [0] })).toThrow(
      "b: shape[0] must be an integer >= 1, got 0",
    );
    const layout: string = "Linear";
    expect(() => weights.at("h").linear("c", { in: 2, out: 2, layout: layout as "linear" })).toThrow(
      'h.c: layout must be one of "linear", "conv1d", got "Linear"',
    );
  });

  it("frees all that it holds, and says so when it is used later", () => {
    const before = tf.memory().numTensors;
    const weights = createWeights();
    const layer = weights.linear("l", { in: 2, out: 3 });
    const x = tf.ones([1, 2]);
    layer(x).dispose();
    x.dispose();
    weights.dispose();
    expect(tf.memory().numTensors).toBe(before);
    expect(() => weights.declared.get("l.weight")!.tensor()).toThrow("l.weight: must not be used after");
  });
});

describe("a parameter", () => {
  it("raises its version with every change and owns its values", () => {
    const parameter = createWeights().parameter("a", { shape: [2] });
    expect(parameter.version).toBe(0);
    const mine = tf.tensor1d([1, 2]);
    parameter.assign(mine);
    mine.dispose();
    expect(read(parameter.tensor())).toEqual([1, 2]);
    const caller = Float32Array.of(3, 4);
    parameter.assign(caller);
    caller.fill(9);
    expect([read(parameter.tensor()), parameter.version]).toEqual([[3, 4], 2]);
    parameter.replace(parameter.tensor());
    expect([read(parameter.tensor()), parameter.version]).toEqual([[3, 4], 3]);
    expect(() => parameter.assign(Float32Array.of(1))).toThrow("a: values must hold 2 numbers, got 1");
    expect(() => parameter.assign(tf.zeros([1, 2]))).toThrow("a: values must have shape [2], got [1,2]");
  });

  it("knows whether its memory is shared", () => {
    const parameter = createWeights().parameter("a", { shape: [2] });
    expect(parameter.exclusive).toBe(false);
    parameter.tensor();
    expect(parameter.exclusive).toBe(true);
    const view = tf.reshape(parameter.tensor(), [1, 2]);
    expect(parameter.exclusive).toBe(false);
    view.dispose();
    expect(parameter.exclusive).toBe(true);
  });
});

describe("16-bit storage", () => {
  // 1, -2 and 0.5 as half precision and as bfloat16.
  it.each([
    ["f16", [0x3c00, 0xc000, 0x3800]],
    ["bf16", [0x3f80, 0xc000, 0x3f00]],
  ] as const)("%s keeps its bits and is widened at each read", (storage, bits) => {
    const before = tf.memory().numTensors;
    const parameter = createWeights().parameter("a", { shape: [3] });
    parameter.assignHalf(storage, Uint16Array.from(bits));
    expect([parameter.storage, parameter.filled, parameter.version]).toEqual([storage, true, 1]);
    expect(tf.memory().numTensors).toBe(before);
    tf.tidy(() => {
      expect(read(parameter.tensor())).toEqual([1, -2, 0.5]);
    });
    expect(tf.memory().numTensors).toBe(before);
    expect(() => differentiate(() => tf.scalar(1), [parameter])).toThrow(
      `differentiate: a must be held as f32 (load it so, or assign float32 values), got "${storage}"`,
    );
    expect(() => parameter.assignHalf(storage, new Uint16Array(2))).toThrow(
      "a: bits must hold 3 numbers, got 2",
    );
    const other: string = "int8";
    expect(() => parameter.assignHalf(other as "f16", new Uint16Array(3))).toThrow(
      'a: storage must be one of "f16", "bf16", got "int8"',
    );
    parameter.assign(Float32Array.of(4, 5, 6));
    expect([parameter.storage, read(parameter.tensor())]).toEqual(["f32", [4, 5, 6]]);
  });

  it("gives a linear layer the same result as the widened values, and keeps no copy", () => {
    const [half, whole] = [createWeights(), createWeights()];
    const [a, b] = [half.linear("l", { in: 2, out: 3 }), whole.linear("l", { in: 2, out: 3 })];
    const bits = Uint16Array.of(0x3c00, 0xc000, 0x3800, 0x3c00, 0x4200, 0xb800);
    half.declared.get("l.weight")!.assignHalf("f16", bits);
    whole.declared.get("l.weight")!.assign(Float32Array.of(1, -2, 0.5, 1, 3, -0.5));
    const x = tf.tensor2d([[1, 10]]);
    expect(read(a(x))).toEqual(read(b(x)));
    const before = tf.memory().numTensors;
    tf.tidy(() => a(x)).dispose();
    expect(tf.memory().numTensors).toBe(before);
  });
});

describe("derived", () => {
  it("is computed again only when a parameter changes, in place too", () => {
    const weights = createWeights();
    const a = weights.parameter("a", { shape: [2], init: ones });
    let runs = 0;
    const doubled = (): number[] =>
      read(weights.derived("a.doubled", [a], () => (runs++, tf.mul(a.tensor(), 2))));
    expect([doubled(), doubled(), runs]).toEqual([[2, 2], [2, 2], 1]);
    a.assign(Float32Array.of(3, 4));
    expect([doubled(), runs]).toEqual([[6, 8], 2]);
    a.touch();
    expect([doubled(), runs]).toEqual([[6, 8], 3]);
  });

  it("is shared by the overlays of a tree, and refused while differentiating", () => {
    const weights = createWeights();
    const a = weights.parameter("a", { shape: [2], init: ones });
    let runs = 0;
    const compute = (): tf.Tensor => (runs++, tf.mul(a.tensor(), 2));
    const first = weights.derived("d", [a], compute);
    expect(weights.overlay().derived("d", [a], compute)).toBe(first);
    expect(runs).toBe(1);
    expect(() => differentiate(() => weights.derived("d", [a], compute), [a])).toThrow(
      "d: a derived value must not",
    );
  });
});

describe("linear", () => {
  it.each(["linear", "conv1d"] as const)("agrees with itself while differentiating (%s)", (layout) => {
    const weights = createWeights({ seed: 2 });
    const layer = weights.linear("l", { in: 3, out: 2, layout, init: normal(1) });
    expect(weights.declared.get("l.weight")!.shape).toEqual(layout === "linear" ? [2, 3] : [3, 2]);
    const x = tf.tensor2d([[1, 2, 3]]);
    const outside = layer(x, { activation: "gelu" });
    const inside = differentiate(() => layer(x, { activation: "gelu" }), [...weights.declared.values()]);
    expect(read(outside)).toEqual(read(inside.value));
    expect(inside.gradients.map((gradient) => gradient!.shape)).toEqual([
      weights.declared.get("l.weight")!.shape,
      [2],
    ]);
  });
});

describe("linear with dropout and a residual", () => {
  it("drops before it adds", () => {
    const weights = createWeights({ seed: 2 });
    const layer = weights.linear("l", { in: 3, out: 4, init: normal(1) });
    const address = { seed: 1, path: "l.dropout", step: 2 };
    tf.tidy(() => {
      const [x, residual] = [tf.tensor2d([[1, 2, 3]]), tf.tensor2d([[10, 20, 30, 40]])];
      const plain = layer(x, { activation: "gelu" });
      const rate = 0.5;
      expect(read(layer(x, { activation: "gelu", residual }))).toEqual(read(tf.add(plain, residual)));
      const dropped = dropout({ x: plain, rate, address });
      expect(read(dropped)).not.toEqual(read(plain));
      const options = { activation: "gelu", dropout: { rate, address } } as const;
      expect(read(layer(x, options))).toEqual(read(dropped));
      expect(read(layer(x, { ...options, residual }))).toEqual(read(tf.add(residual, dropped)));
      const ofNothing = explainRun(() => layer(x, { ...options, dropout: { rate: 0, address }, residual }));
      expect(ofNothing.choices.map(({ explanation }) => explanation.operation)).toEqual(["linear"]);
      expect(read(ofNothing.value)).toEqual(read(tf.add(plain, residual)));
    });
    weights.dispose();
  });
});

describe("linears", () => {
  const names = ["query", "key"];

  it("declares each layer, and gives each part, with gradients", () => {
    const weights = createWeights({ seed: 2 });
    const layers = weights.at("self").linears(names, { in: 3, out: [2, 4] });
    expect([...weights.declared].map(([name, { shape }]) => [name, shape])).toEqual([
      ["self.query.weight", [2, 3]],
      ["self.query.bias", [2]],
      ["self.key.weight", [4, 3]],
      ["self.key.bias", [4]],
    ]);
    const x = tf.tensor2d([[1, 2, 3]]);
    const parts = layers(x);
    expect(parts.map(({ begin }) => begin)).toEqual([0, 0]);
    const alone = weights.linear("self.key", { in: 3, out: 4 })(x);
    expect(read(parts[1]!.x)).toEqual(read(alone));
    const { value, gradients } = differentiate(() => layers(x)[0]!.x, [...weights.declared.values()]);
    expect(gradients.map((gradient) => gradient?.shape)).toEqual([[2, 3], [2], undefined, undefined]);
    tf.dispose([x, alone, value, ...parts.map((part) => part.x), gradients[0]!, gradients[1]!]);
    weights.dispose();
  });

  it("refuses widths that are not those of the layers", () => {
    const weights = createWeights();
    expect(() => weights.at("self").linears(names, { in: 3, out: [2] })).toThrow(
      "self.query+key: out must hold a width for each layer, got [2]",
    );
    expect(() => weights.linears([], { in: 3, out: [] })).toThrow("must hold a width for each layer");
    expect([...weights.declared.keys()]).toEqual([]);
  });
});

describe("overlay", () => {
  it("shares what is there, adds what is not, and frees only that", () => {
    const base = createWeights({ seed: 1 });
    base.linear("query", { in: 2, out: 2, init: normal(1) });
    const over = base.overlay();
    const source = (name: string) => () => base.declared.get(name)!.tensor();
    const layer = over.linear("query", { in: 2, out: 2 });
    over.linear("query_global", {
      in: 2,
      out: 2,
      from: { weight: source("query.weight"), bias: source("query.bias") },
    });
    expect(over.added).toEqual(["query_global.weight", "query_global.bias"]);
    expect([...over.declared.keys()]).toEqual([
      "query.weight",
      "query.bias",
      "query_global.weight",
      "query_global.bias",
    ]);
    expect(over.declared.get("query.weight")).toBe(base.declared.get("query.weight"));
    base.declared.get("query.weight")!.assign(Float32Array.of(1, 2, 3, 4));
    // Copied when first read, and from then on a value of its own.
    expect(read(over.declared.get("query_global.weight")!.tensor())).toEqual([1, 2, 3, 4]);
    base.declared.get("query.weight")!.assign(Float32Array.of(9, 9, 9, 9));
    expect(read(over.declared.get("query_global.weight")!.tensor())).toEqual([1, 2, 3, 4]);
    expect([...over.all.keys()].length).toBe(4);
    expect([...base.all.keys()].length).toBe(2);
    over.dispose();
    expect(read(layer(tf.tensor2d([[1, 1]])))).toEqual([18, 18]);
  });

  it("ignores the source in a root, where the seed gives the first values", () => {
    const root = createWeights();
    root.linear("a", { in: 1, out: 1, from: { weight: () => tf.ones([1, 1]), bias: () => tf.ones([1]) } });
    expect(read(root.declared.get("a.bias")!.tensor())).toEqual([0]);
  });

  it("refuses a source of another shape, and leaks nothing", () => {
    const over = createWeights().overlay();
    const parameter = over.parameter("a", { shape: [1], from: () => tf.ones([2]) });
    expect(() => parameter.tensor()).toThrow("a: values must have shape [1], got [2]");
  });
});
