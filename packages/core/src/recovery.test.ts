import { MathBackendCPU } from "@tensorflow/tfjs-backend-cpu";
import * as tf from "@tensorflow/tfjs-core";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { activeBackend, startBackend } from "./backend.ts";
import type { BackendStarter } from "./backend.ts";
import { normal } from "./initializers.ts";
import { kernelsFor } from "./kernel.ts";
import type { AnyKernel } from "./kernel.ts";
import type { Packing } from "./packing.ts";
import { packTogether } from "./packed-parameters.ts";
import { createWeights } from "./weights.ts";

/** The values backwards. */
const backwards: Packing = {
  name: "backwards",
  pack: (weight) => tf.reverse(tf.reshape(weight, [-1])),
  unpack: ({ values, shape }) => tf.reshape(tf.reverse(values), [...shape]),
};

/** A backend whose device is lost when it is told to: the numbers of starts, and what the next one throws. */
function fragile(name = "cpu") {
  const counts = { starts: 0, stops: 0 };
  let lost = false;
  let refusal: Error | undefined;
  const starter: BackendStarter = {
    name,
    async start() {
      if (refusal) throw refusal;
      const number = ++counts.starts;
      lost = false;
      const engine = new MathBackendCPU();
      Reflect.set(engine, "firstUse", false);
      const kernel: AnyKernel = {
        name: `twice.f32.${number}`,
        backend: name,
        operation: "twice",
        unsupported: () => [],
        forward: () => {
          throw new Error("not called here");
        },
      };
      return {
        engine,
        kernels: [kernel],
        packing: backwards,
        description: `device ${number}`,
        get lost() {
          return lost;
        },
        stop: () => void counts.stops++,
      };
    },
  };
  const lose = (): void => {
    lost = true;
  };
  const refuse = (error: Error | undefined): void => {
    refusal = error;
  };
  return { starter, counts, lose, refuse };
}

const read = (tensor: tf.Tensor): number[] => [...tensor.dataSync()];
const spec = { shape: [3], init: normal(1) };
const gone = "tensor: must be made again, since the device that held it was lost";
const lostValues = "values must be loaded or assigned again, since the device that held them was lost";

let before = 0;
beforeEach(() => {
  before = tf.engine().state.numTensors;
});
afterEach(async () => {
  while (activeBackend()) await activeBackend()!.dispose();
  expect(tf.engine().state.numTensors - before, "tensors leaked").toBe(0);
});

describe("Backend.recover", () => {
  it("does nothing where all is well", async () => {
    const { starter, counts } = fragile();
    const backend = await startBackend(starter);
    const x = tf.tensor1d([1, 2]);
    await backend.recover();
    expect(counts).toEqual({ starts: 1, stops: 0 });
    expect(read(x)).toEqual([1, 2]);
    x.dispose();
  });

  it("starts a device anew under the same name; tensors of the old one are gone and say so", async () => {
    const { starter, counts, lose } = fragile();
    const backend = await startBackend(starter);
    const x = tf.tensor1d([1, 2]);
    const [oldKernel] = backend.kernels;
    lose();
    await Promise.all([backend.recover(), backend.recover()]);
    expect(counts).toEqual({ starts: 2, stops: 1 });
    expect(activeBackend()).toBe(backend);
    expect([tf.getBackend(), backend.description]).toEqual(["cpu", "device 2"]);
    expect(backend.kernels).not.toContain(oldKernel);
    expect(kernelsFor("twice", "cpu")).toEqual(backend.kernels);
    expect(() => x.dataSync()).toThrow(gone);
    await expect(x.data()).rejects.toMatchObject({ code: "invalid-state", message: gone });
    for (const use of [() => tf.add(x, 1), () => tf.neg(tf.reshape(x, [2, 1]))])
      expect(() => tf.tidy(use)).toThrow(gone);
    const y = tf.tidy(() => tf.add([1], 1));
    expect(read(y)).toEqual([2]);
    tf.dispose([x, y]);
    lose();
    await backend.recover();
    await backend.dispose();
    expect(counts).toEqual({ starts: 3, stops: 3 });
    expect(kernelsFor("twice", "cpu")).toEqual([]);
  });

  it("can be called again when the device does not start", async () => {
    const { starter, counts, lose, refuse } = fragile();
    const backend = await startBackend(starter);
    const weight = createWeights({ seed: 1 }).parameter("a", spec);
    const values = read(weight.tensor());
    lose();
    refuse(new Error("the driver restarts"));
    await expect(backend.recover()).rejects.toThrow("the driver restarts");
    expect(tf.getBackend()).toBe("cpu");
    refuse(undefined);
    await backend.recover();
    expect(counts.starts).toBe(2);
    expect(read(weight.tensor())).toEqual(values);
    weight.dispose();
  });

  it("is for the active backend, and not after dispose", async () => {
    const { starter, lose } = fragile();
    const backend = await startBackend(starter);
    const other = await startBackend(fragile("other").starter);
    lose();
    await expect(backend.recover()).rejects.toMatchObject({
      code: "invalid-state",
      message: 'cpu: recover must be called on the active backend, got "other"',
    });
    await other.dispose();
    await backend.recover();
    await backend.dispose();
    await expect(backend.recover()).rejects.toThrow("cpu: recover must be called before dispose");
  });
});

describe("weights after a loss", () => {
  it("are their first values again, where nobody changed them", async () => {
    const { starter, lose } = fragile();
    const backend = await startBackend(starter);
    const weights = createWeights({ seed: 1 });
    const [a, unread, changed] = [
      weights.parameter("a", spec),
      weights.parameter("b", spec),
      weights.parameter("c", spec),
    ];
    const twice = (): tf.Tensor => weights.derived("twice", [a], () => tf.mul(a.tensor(), 2));
    const overlay = weights.overlay();
    const added = overlay.parameter("d", { ...spec, from: () => tf.neg(a.tensor()) });
    const all = (): number[][] => [read(a.tensor()), read(twice()), read(added.tensor())];
    const values = all();
    changed.assign(Float32Array.of(1, 2, 3));
    lose();
    await backend.recover();
    expect([a.filled, unread.filled, changed.filled, added.filled]).toEqual([false, false, false, false]);
    expect(all()).toEqual(values);
    expect(values[2]).toEqual(values[0]!.map((value) => -value));
    expect(() => changed.tensor()).toThrow(`c: ${lostValues}`);
    changed.assign(Float32Array.of(4, 5, 6));
    expect(read(changed.tensor())).toEqual([4, 5, 6]);
    overlay.dispose();
    weights.dispose();
  });

  it("come from their source, those that changed since excepted", async () => {
    const { starter, lose } = fragile();
    const backend = await startBackend(starter);
    const weights = createWeights();
    const [a, b, half] = ["a", "b", "half"].map((name) => weights.parameter(name, spec));
    const asked: string[][] = [];
    a!.assign(Float32Array.of(1, 2, 3));
    b!.assign(Float32Array.of(4, 5, 6));
    half!.assignHalf("bf16", Uint16Array.of(0x3f80, 0, 0));
    weights.setSource(async (names) => {
      asked.push([...names]);
      for (const name of names) weights.find(name)!.assign(Float32Array.of(1, 2, 3));
    });
    b!.tensor();
    b!.touch();
    for (let i = 0; i < 2; i++) {
      lose();
      await backend.recover();
      expect(read(a!.tensor())).toEqual([1, 2, 3]);
      expect(() => b!.tensor()).toThrow(`b: ${lostValues}`);
      const widened = half!.tensor();
      expect(read(widened)).toEqual([1, 0, 0]);
      widened.dispose();
    }
    expect(asked).toEqual([["a"], ["a"]]);
    weights.dispose();
    lose();
    await backend.recover();
    expect(asked.length).toBe(2);
  });

  it("come back where they share memory with others", async () => {
    const { starter, lose } = fragile();
    const backend = await startBackend(starter);
    const weights = createWeights({ seed: 1 });
    const overlay = weights.overlay();
    const first = weights.parameter("a", spec);
    const shared = overlay.parameter("b", { ...spec, from: () => first.tensor() });
    const values = read(first.tensor());
    expect(shared.tensor().dataId).toBe(first.tensor().dataId);
    lose();
    await backend.recover();
    expect(read(first.tensor())).toEqual(values);
    expect(read(shared.tensor())).toEqual(values);
    overlay.dispose();
    weights.dispose();
  });

  it("that were packed are packed again", async () => {
    const { starter, lose } = fragile();
    const backend = await startBackend(starter);
    const weights = createWeights({ seed: 2 });
    const matrices = ["a", "b"].map((name) => weights.parameter(name, { shape: [2, 2], init: normal(1) }));
    const packed = (): number[] => read(packTogether(matrices, backwards, "linear").values);
    const values = packed();
    lose();
    await backend.recover();
    expect(packed()).toEqual(values);
    expect(tf.engine().state.numTensors - before).toBe(1);
    lose();
    await backend.recover();
    expect(matrices.flatMap((matrix) => read(matrix.tensor())).toReversed()).toEqual(values);
    weights.dispose();
  });

  it("are brought into the backend's layout again before a pass", async () => {
    const { starter, lose } = fragile();
    const backend = await startBackend(starter);
    const weights = createWeights({ seed: 2 });
    weights.linear("proj", { in: 2, out: 2, bias: false });
    const weight = weights.find("proj.weight")!;
    for (let i = 0; i < 2; i++) {
      weight.tensor();
      expect(weight.exclusive).toBe(true);
      weights.pack();
      expect([weight.filled, weight.exclusive]).toEqual([true, false]);
      lose();
      await backend.recover();
    }
    weights.dispose();
  });

  it("of one source come though another cannot be read, which can be tried again", async () => {
    const { starter, lose } = fragile();
    const backend = await startBackend(starter);
    let broken = true;
    const trees = [0, 1].map((number) => {
      const weights = createWeights();
      const a = weights.parameter("a", spec);
      a.assign(Float32Array.of(number, 1, 2));
      weights.setSource(async () => {
        if (number === 0 && broken) throw new Error("the network is down");
        a.assign(Float32Array.of(number, 1, 2));
      });
      return { weights, a };
    });
    lose();
    await expect(backend.recover()).rejects.toThrow("the network is down");
    expect(() => trees[0]!.a.tensor()).toThrow(lostValues);
    expect(read(trees[1]!.a.tensor())).toEqual([1, 1, 2]);
    broken = false;
    await backend.recover();
    expect(read(trees[0]!.a.tensor())).toEqual([0, 1, 2]);
    for (const { weights } of trees) weights.dispose();
  });
});
