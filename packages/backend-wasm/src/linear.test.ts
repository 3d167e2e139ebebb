import {
  backendStarter,
  drawParameter,
  expectGradients,
  largestDifference,
  linearCases,
  testKernel,
  useBackend,
  wasmVariants,
} from "@heddle/conformance";
import {
  activations,
  activeBackend,
  createWeights,
  differentiate,
  explain,
  linear,
  linearOperation,
  packTogether,
  startBackend,
  withoutTape,
} from "@heddle/core";
import type { LinearCall } from "@heddle/core";
import * as tf from "@tensorflow/tfjs-core";
import { describe, expect, it } from "vitest";
import { linearWasm, panels } from "./linear.ts";
import { wasm } from "./wasm.ts";

describe.each(wasmVariants)("linear on wasm %j", (options) => {
  useBackend(wasm(options));
  testKernel(linearOperation, linearWasm, linearCases);

  it.each([undefined, ...activations])("has the gradients that differences give: %s", async (activation) => {
    for (const layout of ["linear", "conv1d"] as const) {
      const [x, bias] = [drawParameter("x", [5, 7]), drawParameter("bias", [9])];
      const residual = drawParameter("residual", [5, 9]);
      const weight = drawParameter("weight", layout === "linear" ? [9, 7] : [7, 9]);
      const call = (): LinearCall => ({
        x: x.tensor(),
        weight: weight.tensor(),
        bias: bias.tensor(),
        layout,
        residual: residual.tensor(),
      });
      // The corner of relu has no slope: no step may cross it.
      const step = activation === "relu" ? 1e-3 : 0.02;
      await expectGradients(
        () => linear({ ...call(), ...(activation && { activation }) }),
        [x, weight, bias, residual],
        { step },
      );
      [x, weight, bias, residual].forEach((parameter) => parameter.dispose());
    }
  });

  it("comes with the backend, and explain names it", () => {
    tf.tidy(() => {
      const call = { x: tf.ones([2, 3]), weight: tf.ones([4, 3]) };
      expect(explain(linearOperation, call).kernel).toBe("linear.f32.wasm.panels");
    });
  });

  it.each(["linear", "conv1d"] as const)("unpacks the values that it packed: %s", async (layout) => {
    const values = Float32Array.from({ length: 19 * 37 }, (_, i) => i + 0.5);
    const plain = tf.tidy(() => {
      const weight = tf.tensor2d(values, [19, 37]);
      const packed = {
        kind: "packed",
        packing: panels,
        layout,
        shape: [19, 37],
        values: panels.pack(weight, layout),
      } as const;
      return panels.unpack(packed);
    });
    expect(await plain.data()).toEqual(values);
    plain.dispose();
  });

  it("packs a layer's weight once, in place of the plain one, and goes back to train", async () => {
    const weights = createWeights({ seed: 3 });
    const layer = weights.linear("a", { in: 24, out: 40 });
    const x = tf.ones([3, 24]);
    const before = activeBackend()!.memory().tensors;
    const first = layer(x);
    expect(activeBackend()!.memory().tensors - before).toBe(3);
    const second = layer(x);
    expect(await second.data()).toEqual(await first.data());
    const { tensor } = weights.all.get("a.weight")!;
    expect(activeBackend()!.memory().tensors - before).toBe(4);
    expect(tensor().shape).toEqual([40, 24]);
    expect(activeBackend()!.memory().tensors - before).toBe(4);
    tf.dispose([x, first, second]);
    weights.dispose();
  });

  it("packs layers of one input together where all of them may be packed", () => {
    const weights = createWeights({ seed: 3 });
    const layers = weights.linears(["a", "b"], { in: 24, out: [5, 40] });
    const b = weights.all.get("b.weight")!;
    const x = tf.ones([3, 24]);
    const pass = (): { values: number[]; products: number } =>
      tf.tidy(() => {
        const parts = layers(x);
        const values = [5, 40].flatMap((width, i) => [
          ...tf.slice(parts[i]!.x, [0, parts[i]!.begin], [3, width]).dataSync(),
        ]);
        return { values, products: new Set(parts.map((part) => part.x)).size };
      });
    const together = pass();
    expect(together.products).toBe(1);
    b.plain = true;
    const { dataId } = b.tensor();
    const apart = pass();
    expect(apart.products).toBe(2);
    expect(largestDifference(apart.values, together.values)).toBeLessThan(1e-6);
    expect(b.tensor().dataId).toBe(dataId);
    b.plain = false;
    expect(pass()).toEqual(together);
    b.assignHalf("bf16", new Uint16Array(b.size));
    const half = pass();
    expect(half.products).toBe(2);
    expect(largestDifference(half.values.slice(0, 15), together.values.slice(0, 15))).toBeLessThan(1e-6);
    expect(new Set(half.values.slice(15))).toEqual(new Set([0]));
    x.dispose();
    weights.dispose();
  });

  it("gives zeros for the gradient of a weight that no row met", () => {
    const [x, weight] = [tf.zeros([0, 5]), tf.ones([3, 5])];
    // Tensors take memory that was in use before.
    tf.dispose(tf.ones([3, 5]));
    const { value, gradients } = differentiate(() => linear({ x, weight }), [weight]);
    expect([...gradients[0]!.dataSync()]).toEqual(Array.from({ length: 15 }, () => 0));
    tf.dispose([x, weight, value, gradients[0]!]);
  });

  it.each(["linear", "conv1d"] as const)("has gradients where a width is 0: %s", (layout) => {
    for (const [into, out] of [
      [0, 4],
      [4, 0],
    ] as const) {
      const [x, weight] = [tf.ones([3, into]), tf.ones(layout === "linear" ? [out, into] : [into, out])];
      const bias = tf.tensor1d(new Float32Array(out).fill(5));
      const inputs = [x, weight, bias];
      const { value, gradients } = differentiate(() => linear({ x, weight, bias, layout }), inputs);
      expect([...value.dataSync()]).toEqual(Array.from({ length: 3 * out }, () => 5));
      expect(gradients.map((gradient) => gradient!.shape)).toEqual(inputs.map(({ shape }) => shape));
      expect([...gradients[0]!.dataSync()]).toEqual(Array.from({ length: 3 * into }, () => 0));
      expect([...gradients[2]!.dataSync()]).toEqual(Array.from({ length: out }, () => 3));
      tf.dispose([...inputs, value, ...gradients.map((gradient) => gradient!)]);
      expect(activeBackend()!.memory().bytes).toBe(0);
    }
  });

  it("unpacks a layer's weight where another backend is active", async () => {
    const weights = createWeights({ seed: 3 });
    const layer = weights.linear("a", { in: 24, out: 40 });
    const run = (): Float32Array => tf.tidy(() => layer(tf.ones([3, 24])).dataSync<"float32">());
    const found = run();
    const other = await startBackend(await backendStarter("cpu"));
    expect(largestDifference(run(), found)).toBeLessThan(1e-6);
    weights.dispose();
    await other.dispose();
  });

  it("keeps the tensors that differentiate watches where its tape is paused", () => {
    const weights = createWeights({ seed: 3 });
    const layer = weights.linear("a", { in: 2, out: 3 });
    const weight = weights.all.get("a.weight")!;
    const x = tf.tensor2d([[2, 5]]);
    tf.dispose(layer(x));
    const { value, gradients } = differentiate(() => {
      // A target that no gradient flows through.
      withoutTape(() => layer(x));
      expect(() => packTogether([weight], panels, "linear")).toThrow(
        "a.weight: must not be packed while differentiating, which may watch its plain values",
      );
      return layer(x);
    }, [weight]);
    expect([...gradients[0]!.dataSync()]).toEqual([2, 5, 2, 5, 2, 5]);
    tf.dispose([x, value, gradients[0]!]);
    weights.dispose();
  });
});
