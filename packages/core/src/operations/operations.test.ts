import * as tf from "@tensorflow/tfjs-core";
import type { Tensor } from "@tensorflow/tfjs-core";
import "@tensorflow/tfjs-backend-cpu";
import "@tensorflow/tfjs-backend-wasm";
import { beforeAll, describe, expect, it } from "vitest";
import { HeddleError } from "../errors.ts";
import { differentiate } from "../tape.ts";
import { randomStream } from "../random.ts";
import { activation, activations } from "./activation.ts";
import { crossEntropy } from "./cross-entropy.ts";
import { dropout } from "./dropout.ts";
import { embedding } from "./embedding.ts";
import { layerNorm } from "./layer-norm.ts";
import { linear } from "./linear.ts";
import { matmul } from "./matmul.ts";
import { residual } from "./residual.ts";
import { rmsNorm } from "./rms-norm.ts";
import { rotary } from "./rotary.ts";
import { concat, reshape, slice, transpose } from "./shape.ts";

/** A function of some tensors, given by their shapes. */
type Case = readonly [name: string, shapes: readonly (readonly number[])[], f: (...xs: Tensor[]) => Tensor];

const ids = (): Tensor => tf.tensor2d([3, 0, 3, 1, 3, 0], [2, 3], "int32");
const CASES: readonly Case[] = [
  ...activations.map((kind): Case => [`activation ${kind}`, [[3, 5]], (x) => activation({ x: x!, kind })]),
  ["linear", [[2, 3, 5], [4, 5], [4]], (x, weight, bias) => linear({ x: x!, weight: weight!, bias })],
  [
    "linear conv1d gelu",
    [[3, 5], [5, 4], [4]],
    (x, weight, bias) => linear({ x: x!, weight: weight!, bias, layout: "conv1d", activation: "gelu" }),
  ],
  [
    "linear without bias",
    [
      [1, 5],
      [4, 5],
    ],
    (x, weight) => linear({ x: x!, weight: weight! }),
  ],
  [
    "linear with a residual",
    [
      [2, 3, 5],
      [4, 5],
      [2, 3, 4],
    ],
    (x, weight, residual) => linear({ x: x!, weight: weight!, residual: residual! }),
  ],
  [
    "linear gelu with a residual",
    [[3, 5], [5, 4], [4], [3, 4]],
    (x, weight, bias, residual) =>
      linear({
        x: x!,
        weight: weight!,
        bias,
        layout: "conv1d",
        activation: "gelu",
        residual: residual!,
      }),
  ],
  [
    "linear with its input as the residual",
    [
      [3, 4],
      [4, 4],
    ],
    (x, weight) => linear({ x: x!, weight: weight!, residual: x! }),
  ],
  [
    "matmul",
    [
      [2, 3, 5],
      [2, 5, 4],
    ],
    (a, b) => matmul({ a: a!, b: b! }),
  ],
  [
    "matmul aT",
    [
      [5, 3],
      [5, 4],
    ],
    (a, b) => matmul({ a: a!, b: b!, transposeA: true }),
  ],
  [
    "matmul bT",
    [
      [2, 3, 5],
      [2, 4, 5],
    ],
    (a, b) => matmul({ a: a!, b: b!, transposeB: true }),
  ],
  [
    "matmul aT bT",
    [
      [2, 5, 3],
      [2, 4, 5],
    ],
    (a, b) => matmul({ a: a!, b: b!, transposeA: true, transposeB: true }),
  ],
  [
    "layerNorm",
    [[2, 3, 7], [7], [7]],
    (x, weight, bias) => layerNorm({ x: x!, weight: weight!, bias: bias! }),
  ],
  [
    "layerNorm with a residual",
    [[2, 3, 7], [2, 3, 7], [7], [7]],
    (x, residual, weight, bias) => layerNorm({ x: x!, residual: residual!, weight: weight!, bias: bias! }),
  ],
  ["rmsNorm", [[2, 3, 7], [7]], (x, weight) => rmsNorm({ x: x!, weight: weight! })],
  [
    "rmsNorm with a residual",
    [[2, 7], [2, 7], [7]],
    (x, residual, weight) => rmsNorm({ x: x!, residual: residual!, weight: weight! }),
  ],
  [
    "rmsNorm with itself as the residual",
    [[2, 7], [7]],
    (x, weight) => rmsNorm({ x: x!, residual: x!, weight: weight! }),
  ],
  [
    "rmsNorm with a residual, while the gradient of x grows",
    [[2, 7], [2, 7], [7]],
    (x, y, weight) => {
      const before = activation({ x: y!, kind: "gelu" });
      const beside = activation({ x: x!, kind: "gelu" });
      return residual(rmsNorm({ x: x!, residual: before, weight: weight! }), beside);
    },
  ],
  [
    "residual",
    [
      [2, 3, 4],
      [2, 3, 4],
    ],
    (x, y) => residual(x!, y!),
  ],
  ["residual with itself", [[2, 3]], (x) => residual(x!, x!)],
  [
    "residual broadcast",
    [
      [2, 3, 4],
      [3, 4],
    ],
    (x, y) => residual(x!, y!),
  ],
  [
    "residual broadcast inside",
    [
      [2, 3, 4],
      [2, 1, 4],
    ],
    (x, y) => residual(x!, y!),
  ],
  ["embedding with repeated ids", [[5, 4]], (table) => embedding(table!, ids())],
  ["dropout", [[4, 6]], (x) => dropout({ x: x!, rate: 0.4, address: { seed: 1, path: "p", step: 2 } })],
  [
    "crossEntropy",
    [[4, 5]],
    (logits) => crossEntropy({ logits: logits!, labels: Int32Array.of(1, -100, 4, 0), labelSmoothing: 0.1 }),
  ],
  [
    "crossEntropy sum",
    [[2, 2, 3]],
    (logits) =>
      crossEntropy({ logits: logits!, labels: Int32Array.of(0, 2, 7, 1), ignoreIndex: 7, reduction: "sum" }),
  ],
  ["rotary half", [[2, 2, 3, 6]], (x) => rotary({ x: x!, positions: Int32Array.of(0, 5, 9) })],
  [
    "rotary interleaved, partial, per row",
    [[2, 1, 2, 6]],
    (x) => rotary({ x: x!, positions: Int32Array.of(0, 5, 3, 4), pairs: "interleaved", width: 4 }),
  ],
  ["reshape", [[2, 6]], (x) => reshape(x!, [3, 4])],
  ["transpose", [[2, 3, 4]], (x) => transpose(x!, [2, 0, 1])],
  ["slice", [[2, 5]], (x) => slice({ x: x!, axis: 1, begin: 1, size: 3 })],
  [
    "concat",
    [
      [2, 1],
      [2, 3],
    ],
    (a, b) => concat([a!, b!], 1),
  ],
];

const draw = (shape: readonly number[], path: string): Float32Array =>
  randomStream({ seed: 11, path }).normals(shape.reduce((a, b) => a * b, 1));

/** Sum of f's values weighted by a fixed cotangent, in double precision over the read-back. */
function weighed(y: Tensor, cotangent: Float32Array): number {
  return [...y.dataSync()].reduce((sum, value, i) => sum + value * cotangent[i]!, 0);
}

describe("a residual", () => {
  const x = (): Tensor => tf.tensor2d([[1, 2, 6]]);
  const ones = (): Tensor => tf.ones([3]);

  it("is added after the activation, and before a norm", async () => {
    await tf.setBackend("cpu");
    tf.tidy(() => {
      const weight = tf.tensor2d([1, 0, 0, 0, 1, -1], [3, 2]);
      const residual = tf.tensor2d([[10, 20]]);
      const call = { x: x(), weight, layout: "conv1d", activation: "relu", residual } as const;
      // x W is [1 + 6, -6].
      expect([...linear(call).dataSync()]).toEqual([17, 20]);
      const [sum, zero] = [tf.tensor2d([[3, 3, 9]]), tf.zeros([3])];
      const rest = { weight: ones(), bias: zero };
      const apart = layerNorm({ x: sum, ...rest }).dataSync();
      expect(layerNorm({ x: x(), residual: tf.tensor2d([[2, 1, 3]]), ...rest }).dataSync()).toEqual(apart);
      expect(rmsNorm({ x: x(), residual: tf.tensor2d([[2, 1, 3]]), weight: ones() }).dataSync()).toEqual(
        rmsNorm({ x: sum, weight: ones() }).dataSync(),
      );
    });
  });

  it.each<[string, (residual: Tensor) => Tensor]>([
    [
      "linear: residual must have shape [1, 2]",
      (residual) => linear({ x: x(), weight: tf.ones([2, 3]), residual }),
    ],
    [
      "layerNorm: residual must have shape [1, 3]",
      (residual) => layerNorm({ x: x(), weight: ones(), bias: ones(), residual }),
    ],
    ["rmsNorm: residual must have shape [1, 3]", (residual) => rmsNorm({ x: x(), weight: ones(), residual })],
  ])("has the shape of what it is added to: %s", async (message, attempt) => {
    await tf.setBackend("cpu");
    tf.tidy(() => {
      expect(() => attempt(tf.ones([3]))).toThrow(`${message}, got [3]`);
      expect(() => attempt(tf.ones([1, 4], "int32"))).toThrow("residual must be float32");
    });
  });
});

describe("crossEntropy", () => {
  it("does not count a class that is ruled out by -Infinity", async () => {
    await tf.setBackend("cpu");
    const logits = tf.tensor2d([[0, -Infinity, Math.log(3)]]);
    const { value, gradients } = differentiate(
      () => crossEntropy({ logits, labels: Int32Array.of(0) }),
      [logits],
    );
    expect(value.dataSync()[0]).toBeCloseTo(Math.log(4), 6);
    [-0.75, 0, 0.75].forEach((slope, i) => expect(gradients[0]!.dataSync()[i]).toBeCloseTo(slope, 6));
    tf.dispose([logits, value, gradients[0]!]);
  });
});

describe("dropout", () => {
  it("drops where its stream is below the rate and scales the rest, so that the mean stays", async () => {
    await tf.setBackend("cpu");
    const address = { seed: 3, path: "h.0", step: 2 };
    const values = tf.tidy(() => [...dropout({ x: tf.ones([40, 50]), rate: 0.25, address }).dataSync()]);
    const draws = randomStream(address).uniforms(2000);
    expect(values).toEqual(Array.from(draws, (draw) => (draw < 0.25 ? 0 : Math.fround(4 / 3))));
    expect(values.reduce((sum, value) => sum + value, 0) / 2000).toBeCloseTo(1, 1);
  });
});

describe("lists of integers", () => {
  const [ones, x] = [() => tf.ones([2, 3]), () => tf.ones([1, 1, 2, 2])];
  const rule = "must be an Int32Array, got";
  it.each<[() => Tensor, string]>([
    // A fraction would be cut, and its class be wrong without a word.
    [
      () => crossEntropy({ logits: ones(), labels: [0.5, 1] as never }),
      `crossEntropy: labels ${rule} [0.5,1]`,
    ],
    [() => crossEntropy({ logits: ones() } as never), `crossEntropy: labels ${rule} undefined`],
    [() => rotary({ x: x(), positions: [0, 0.5] as never }), `rotary: positions ${rule} [0,0.5]`],
    [() => rotary({ x: x() } as never), `rotary: positions ${rule} undefined`],
    [() => embedding(ones(), [0, 1] as never), "embedding: ids must be an int32 tensor, got [0,1]"],
    [() => embedding(ones(), undefined as never), "embedding: ids must be an int32 tensor, got undefined"],
    [() => embedding(ones(), tf.ones([1])), 'embedding: ids must be an int32 tensor, got "float32"'],
    [
      () => dropout({ x: ones(), rate: 0.5 } as never),
      "dropout: address must be { seed, path, step }, got undefined",
    ],
  ])("%#: are integers, or refused", async (attempt, message) => {
    await tf.setBackend("cpu");
    tf.tidy(() => {
      expect(attempt).toThrow(HeddleError);
      expect(attempt).toThrow(message);
    });
  });
});

describe.each(["cpu", "wasm"])("operations on %s", (backend) => {
  beforeAll(async () => {
    await tf.setBackend(backend);
    await tf.ready();
  });

  it.each(CASES)("%s: the gradient is the finite difference, and nothing leaks", (name, shapes, f) => {
    const values = shapes.map((shape, i) => draw(shape, `${name}/${i}`));
    const make = (data: readonly Float32Array[]): Tensor[] =>
      data.map((value, i) => tf.tensor(Float32Array.from(value), [...shapes[i]!]));
    const before = tf.memory().numTensors;
    const xs = make(values);
    const probe = tf.tidy(() => tf.keep(f(...xs)));
    const cotangent = draw(probe.shape, `${name}/dy`);
    const dy = tf.tensor(Float32Array.from(cotangent), probe.shape);
    const { value, gradients } = differentiate(() => f(...xs), xs, dy);
    expect([...value.dataSync()]).toEqual([...probe.dataSync()]);
    const step = 1e-2;
    values.forEach((data, input) => {
      const gradient = gradients[input]!.dataSync();
      expect(gradients[input]!.shape).toEqual(shapes[input]);
      const scale = Math.max(...gradient.map(Math.abs), 1);
      for (let i = 0; i < data.length; i++) {
        const at = (delta: number): number =>
          tf.tidy(() =>
            weighed(
              f(
                ...make(values.map((v, j) => (j === input ? v.map((x, k) => (k === i ? x + delta : x)) : v))),
              ),
              cotangent,
            ),
          );
        const difference = (8 * (at(step) - at(-step)) - (at(2 * step) - at(-2 * step))) / (12 * step);
        // ReLU has a corner; the draws keep away from it except by chance.
        if (name === "activation relu" && Math.abs(data[i]!) < 2 * step) continue;
        expect(Math.abs(gradient[i]! - difference) / scale, `input ${input}, entry ${i}`).toBeLessThan(1e-3);
      }
    });
    for (const tensor of [...xs, probe, dy, value, ...gradients]) tensor?.dispose();
    expect(tf.memory().numTensors).toBe(before);
  });
});
