import { MathBackendCPU } from "@tensorflow/tfjs-backend-cpu";
import * as tf from "@tensorflow/tfjs-core";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { startBackend } from "./backend.ts";
import type { Backend, BackendStarter } from "./backend.ts";
import type { MatrixForm, PackedMatrix, Packing } from "./packing.ts";
import { halvesTogether, packTogether, tableOf } from "./packed-parameters.ts";
import { createParameter } from "./parameter.ts";
import type { Parameter } from "./parameter.ts";
import { differentiate } from "./tape.ts";

beforeAll(async () => {
  await tf.setBackend("cpu");
});
let before = 0;
beforeEach(() => void (before = tf.memory().numTensors));
afterEach(() => expect(tf.memory().numTensors, "tensors leaked").toBe(before));

const tensors = (): number => tf.memory().numTensors - before;
const read = (tensor: tf.Tensor): number[] => [...tensor.dataSync()];

/** The values backwards. */
const backwards: Packing = {
  name: "backwards",
  pack: (weight) => tf.reverse(tf.reshape(weight, [-1])),
  unpack: ({ values, shape }) => tf.reshape(tf.reverse(values), [...shape]),
};

/** Three weights of outputs 1, 2 and 1 over an input of 2, in layout `linear`, counting on. */
function weights(): [Parameter, Parameter, Parameter] {
  const make = (name: string, out: number, first: number): Parameter =>
    createParameter(name, [out, 2], () => Float32Array.from({ length: 2 * out }, (_, i) => first + i));
  return [make("a", 1, 1), make("b", 2, 3), make("c", 1, 7)];
}
const dispose = (parameters: readonly Parameter[]): void => parameters.forEach((one) => one.dispose());

describe("packTogether", () => {
  it("holds parameters side by side, in place of their plain values", () => {
    const all = weights();
    const packed = packTogether(all, backwards, "linear");
    expect(packed).toMatchObject({ kind: "packed", packing: backwards, layout: "linear", shape: [4, 2] });
    expect(read(packed.values)).toEqual([8, 7, 6, 5, 4, 3, 2, 1]);
    expect(tensors()).toBe(1);
    expect(all.map(({ filled, exclusive, version }) => [filled, exclusive, version])).toEqual(
      all.map(() => [true, false, 0]),
    );
    expect(packTogether(all, backwards, "linear")).toBe(packed);
    dispose(all);
  });

  it("goes along the columns in layout conv1d", () => {
    const make = (name: string, values: number[]): Parameter =>
      createParameter(name, [2, values.length / 2], () => Float32Array.from(values));
    const all = [make("a", [1, 2]), make("b", [3, 4, 5, 6])];
    const { values, shape } = packTogether(all, backwards, "conv1d");
    expect([shape, read(values).toReversed()]).toEqual([
      [2, 3],
      [1, 3, 4, 2, 5, 6],
    ]);
    expect(all.map((one) => read(one.tensor()))).toEqual([
      [1, 2],
      [3, 4, 5, 6],
    ]);
    expect(tensors()).toBe(2);
    dispose(all);
  });

  it("gives every parameter its values back when one is read, and packs again", () => {
    const all = weights();
    packTogether(all, backwards, "linear");
    expect(read(all[1].tensor())).toEqual([3, 4, 5, 6]);
    expect(tensors()).toBe(3);
    expect(all.map((one) => read(one.tensor()))).toEqual([
      [1, 2],
      [3, 4, 5, 6],
      [7, 8],
    ]);
    expect(read(packTogether(all, backwards, "linear").values)).toEqual([8, 7, 6, 5, 4, 3, 2, 1]);
    expect(tensors()).toBe(1);
    dispose(all);
  });

  it.each<[string, (parameter: Parameter) => void]>([
    ["assign", (parameter) => parameter.assign(Float32Array.of(0, 0, 0, 0))],
    ["replace", (parameter) => parameter.replace(tf.zeros([2, 2]))],
  ])("keeps the others' values when one takes new ones: %s", (_, change) => {
    const all = weights();
    packTogether(all, backwards, "linear");
    change(all[1]);
    expect(all[1].version).toBe(1);
    expect(tensors()).toBe(2);
    expect(read(packTogether(all, backwards, "linear").values)).toEqual([8, 7, 0, 0, 0, 0, 2, 1]);
    expect(tensors()).toBe(1);
    expect(read(all[2].tensor())).toEqual([7, 8]);
    dispose(all);
  });

  it("keeps the others' values when one goes to 16 bits, and refuses that one", () => {
    const all = weights();
    packTogether(all, backwards, "linear");
    all[0].assignHalf("f16", Uint16Array.of(0x3c00, 0xc000));
    expect(() => packTogether(all, backwards, "linear")).toThrow(
      'a: storage must be f32 to be packed, got "f16"',
    );
    expect(read(all[1].tensor())).toEqual([3, 4, 5, 6]);
    expect(tensors()).toBe(2);
    dispose(all);
  });

  it("frees the packed values with the last parameter, and gives those that stay theirs", () => {
    const all = weights();
    packTogether(all, backwards, "linear");
    all[0].dispose();
    expect(() => all[0].tensor()).toThrow("a: must not be used after its weights were disposed");
    expect(() => packTogether(all, backwards, "linear")).toThrow("a: must not be used after");
    expect(read(all[2].tensor())).toEqual([7, 8]);
    packTogether(all.slice(1), backwards, "linear");
    all[1].dispose();
    expect(tensors()).toBe(1);
    all[2].dispose();
    expect(tensors()).toBe(0);
  });

  it("moves parameters from one company to another", () => {
    const all = weights();
    const [a, b, c] = all;
    packTogether(all, backwards, "linear");
    expect(read(packTogether([a, b], backwards, "linear").values)).toEqual([6, 5, 4, 3, 2, 1]);
    expect(read(packTogether([a], backwards, "linear").values)).toEqual([2, 1]);
    expect(read(packTogether([b], backwards, "linear").values)).toEqual([6, 5, 4, 3]);
    expect(packTogether([b], backwards, "conv1d").layout).toBe("conv1d");
    expect(read(packTogether([c, a], backwards, "linear").values)).toEqual([2, 1, 8, 7]);
    expect(tensors()).toBe(2);
    expect(read(packTogether([a, c], backwards, "linear").values)).toEqual([8, 7, 2, 1]);
    const other: Packing = { ...backwards, name: "other" };
    expect(packTogether([a, c], other, "linear").packing).toBe(other);
    expect(all.map((one) => read(one.tensor()))).toEqual([
      [1, 2],
      [3, 4, 5, 6],
      [7, 8],
    ]);
    dispose(all);
  });

  it("takes a parameter twice", () => {
    const [a, , c] = weights();
    expect(read(packTogether([a, c, a], backwards, "linear").values)).toEqual([2, 1, 8, 7, 2, 1]);
    expect(packTogether([a, c, a], backwards, "linear").shape).toEqual([3, 2]);
    expect(read(a.tensor())).toEqual([1, 2]);
    expect(tensors()).toBe(2);
    dispose([a, c]);
  });

  it("refuses what cannot lie together, and changes nothing", () => {
    const [a, b] = weights();
    const wide = createParameter("wide", [2, 3], () => new Float32Array(6));
    expect(() => packTogether([], backwards, "linear")).toThrow(
      "packTogether: parameters must hold at least one, got []",
    );
    expect(() => packTogether([a, wide], backwards, "linear")).toThrow(
      "wide: shape must have shape [any, 2], got [2,3]",
    );
    const broken: Packing = {
      ...backwards,
      pack() {
        throw new Error("no room");
      },
    };
    expect(() => packTogether([a, b], broken, "linear")).toThrow("no room");
    expect(read(b.tensor())).toEqual([3, 4, 5, 6]);
    const x = tf.ones([1]);
    expect(() =>
      differentiate(() => {
        packTogether([a, b], backwards, "linear");
        return x;
      }, [a]),
    ).toThrow("a: must not be packed while differentiating, which may watch its plain values");
    expect(tensors()).toBe(3);
    x.dispose();
    dispose([a, b, wide]);
  });
});

describe("halvesTogether", () => {
  const form = (name: string): MatrixForm => ({
    name,
    unpack: () => {
      throw new Error("not called here");
    },
  });
  const halves = { f16: form("f16"), bf16: form("bf16") };
  const starter: BackendStarter = {
    name: "halves",
    start: () => Promise.resolve({ engine: engine(), kernels: [], description: "", halves }),
  };
  const engine = (): MathBackendCPU => {
    const made = new MathBackendCPU();
    Reflect.set(made, "firstUse", false);
    return made;
  };
  const words = (tensor: tf.Tensor): number[] => [
    ...new Uint16Array(Int32Array.from(tensor.dataSync()).buffer),
  ];
  const bits = (first: number, count: number): Uint16Array =>
    Uint16Array.from({ length: count }, (_, i) => 0xfff0 + first + i);

  let backend: Backend;
  beforeAll(async () => void (backend = await startBackend(starter)));
  afterAll(() => backend.dispose());

  it("holds bits in pairs, side by side along the outputs, and leaves them where they were", () => {
    const [a, b, c] = weights();
    [a, b, c].forEach((one, i) => one.assignHalf("f16", bits(2 * i, one.size)));
    const all = halvesTogether([a, b, c], "linear")!;
    expect(all).toMatchObject({ kind: "packed", packing: halves.f16, layout: "linear", shape: [4, 2] });
    expect(all.values.dtype).toBe("int32");
    expect(words(all.values)).toEqual([...bits(0, 2), ...bits(2, 4), ...bits(4, 2)]);
    expect(halvesTogether([a, b, c], "linear")).toBe(all);
    expect(tensors()).toBe(1);
    const plain = a.tensor();
    expect(plain.dtype).toBe("float32");
    plain.dispose();
    expect(a.storage).toBe("f16");
    // Alone: the others keep theirs.
    expect(words((tableOf(b) as PackedMatrix).values)).toEqual([...bits(2, 4)]);
    expect(tensors()).toBe(2);
    dispose([a, b, c]);
  });

  it("goes along the columns in layout conv1d, with a 0 behind an odd number of values", () => {
    const make = (name: string, width: number, first: number): Parameter => {
      const made = createParameter(name, [3, width], () => new Float32Array(3 * width));
      made.assignHalf("bf16", bits(first, 3 * width));
      return made;
    };
    const all = [make("a", 1, 0), make("b", 2, 3)];
    const { values, shape, packing } = halvesTogether(all, "conv1d")!;
    expect([shape, packing]).toEqual([[3, 3], halves.bf16]);
    expect(words(values).map((word) => (word === 0 ? 0 : word - 0xfff0))).toEqual([
      0, 3, 4, 1, 5, 6, 2, 7, 8, 0,
    ]);
    dispose(all);
  });

  it("is for 16-bit matrices of one kind, without a gradient to come", () => {
    const [a, b, c] = weights();
    expect(halvesTogether([a, b], "linear")).toBeUndefined();
    a.assignHalf("f16", bits(0, 2));
    c.assignHalf("bf16", bits(0, 2));
    expect(halvesTogether([a, b], "linear")).toBeUndefined();
    expect(halvesTogether([a, c], "linear")).toBeUndefined();
    const x = tf.ones([2]);
    const [kinds, stop] = [[] as boolean[], new Error("seen")];
    const look = (): never => {
      kinds.push("kind" in tableOf(a));
      throw stop;
    };
    expect(() => differentiate(look, [x])).toThrow(stop);
    expect(look).toThrow(stop);
    expect(kinds).toEqual([false, true]);
    x.dispose();
    dispose([a, b, c]);
  });

  it("takes new bits, and goes with the parameter", () => {
    const [, b] = weights();
    b.assignHalf("f16", bits(0, 4));
    tableOf(b);
    b.assignHalf("bf16", bits(1, 4));
    const table = tableOf(b) as PackedMatrix;
    expect([table.packing, words(table.values)]).toEqual([halves.bf16, [...bits(1, 4)]]);
    expect(tensors()).toBe(1);
    b.assign(new Float32Array(4));
    expect(tableOf(b)).toBe(b.tensor());
    b.assignHalf("f16", bits(0, 4));
    tableOf(b);
    b.dispose();
    expect(tensors()).toBe(0);
  });
});
