import { drawn, largestDifference, useBackend, withBindingLimit } from "@heddle/conformance";
import {
  activeBackend,
  createParameter,
  createWeights,
  embedding,
  embeddingOperation,
  explain,
  linear,
  linearOperation,
  randomStream,
  tableOf,
  withKernels,
} from "@heddle/core";
import type { HalfKind, LinearCall, PackedMatrix, Parameter } from "@heddle/core";
import * as tf from "@tensorflow/tfjs-core";
import type { Tensor } from "@tensorflow/tfjs-core";
import { describe, expect, it } from "vitest";

const kinds = ["f16", "bf16"] as const;

/** Bits of numbers between 2^-6 and 1 and their negatives, a parameter that holds them, and the same matrix widened. */
function half(
  storage: HalfKind,
  shape: readonly [number, number],
): { bits: Uint16Array; parameter: Parameter; wide: Tensor } {
  const stream = randomStream({ seed: 7, path: `${storage}.${shape}` });
  const [one, exponent] = storage === "f16" ? [0x3c00, 0x400] : [0x3f80, 0x80];
  const bits = Uint16Array.from(
    { length: shape[0] * shape[1] },
    (_, i) => one - 1 - stream.integer(2 * i, 6 * exponent) + 0x8000 * stream.integer(2 * i + 1, 2),
  );
  const parameter = createParameter("weight", shape, () => new Float32Array(bits.length));
  parameter.assignHalf(storage, bits);
  return { bits, parameter, wide: parameter.tensor() };
}

/** Reads a tensor and frees it. */
async function take(tensor: Tensor): Promise<Float32Array> {
  const values = await tensor.data<"float32">();
  tensor.dispose();
  return Float32Array.from(values);
}

describe("16-bit matrices on webgpu", () => {
  useBackend("webgpu");

  it.each(kinds)("are widened exactly, all numbers that there are: %s", async (storage) => {
    const bits = Uint16Array.from({ length: 0x10000 }, (_, i) => i);
    const parameter = createParameter("all", [256, 256], () => new Float32Array(bits.length));
    parameter.assignHalf(storage, bits);
    const table = tableOf(parameter) as PackedMatrix;
    expect(table).toMatchObject({ kind: "packed", packing: activeBackend()!.halves![storage] });
    const expected = await take(parameter.tensor());
    const found = await take(table.packing.unpack(table));
    const wrong: number[] = [];
    for (let i = 0; i < bits.length; i++) {
      // A device may give a number in place of those that are not finite.
      if (!Number.isFinite(expected[i])) continue;
      if (!Object.is(found[i], expected[i])) wrong.push(i);
    }
    // Those of bfloat16 that are subnormal as float32 too may become 0.
    const subnormal = (i: number): boolean => storage === "bf16" && (i & 0x7f80) === 0;
    expect(wrong.filter((i) => !subnormal(i) || found[i] !== 0)).toEqual([]);
    parameter.dispose();
  });

  it.each(
    kinds.flatMap((storage) =>
      (["linear", "conv1d"] as const).flatMap((layout) =>
        (
          [
            [1, 64, 40],
            [3, 7, 5],
            [8, 1540, 12],
            [33, 20, 36],
            [70, 33, 65],
            [0, 4, 4],
          ] as const
        ).map((sizes) => [storage, layout, ...sizes] as const),
      ),
    ),
  )("are weights of linear, with the bits of widened ones: %s %s [%i, %i] to %i", async (...given) => {
    const [storage, layout, rows, into, out] = given;
    const { bits, parameter, wide } = half(storage, layout === "linear" ? [out, into] : [into, out]);
    const weights = createWeights();
    const layer = weights.linear("layer", { in: into, out, layout, bias: false });
    weights.find("layer.weight")!.assignHalf(storage, bits);
    const [x, residual] = [drawn("x", [rows, into]), drawn("residual", [rows, out])];
    const options = { activation: "gelu", residual } as const;
    const programs = (): number => Reflect.get(tf.backend(), "dispatchCountInPass");
    await activeBackend()!.finish();
    const found = layer(x, options);
    expect(programs(), "programs").toBe(rows === 0 ? 0 : 1);
    const expected = linear({ x, weight: wide, layout, ...options });
    expect(await take(found)).toEqual(await take(expected));
    tf.dispose([x, residual, wide]);
    parameter.dispose();
    weights.dispose();
  });

  it.each(kinds)("go together side by side: %s", async (storage) => {
    const weights = createWeights();
    const names = ["q", "k", "v"];
    const out = [3, 4, 5];
    const layers = weights.linears(names, { in: 5, out });
    const parameters = out.map((count, i) => {
      const one = half(storage, [count, 5]);
      weights.find(`${names[i]}.weight`)!.assignHalf(storage, one.bits);
      return one;
    });
    const x = drawn("x", [2, 5]);
    const parts = layers(x);
    expect(parts.map(({ begin }) => begin)).toEqual([0, 3, 7]);
    expect(new Set(parts.map((part) => part.x)).size).toBe(1);
    const all = await take(parts[0]!.x);
    for (const [i, { wide, parameter }] of parameters.entries()) {
      const one = await take(linear({ x, weight: wide }));
      for (let row = 0; row < 2; row++)
        expect(all.slice(row * 12 + parts[i]!.begin, row * 12 + parts[i]!.begin + out[i]!)).toEqual(
          one.slice(row * out[i]!, (row + 1) * out[i]!),
        );
      wide.dispose();
      parameter.dispose();
    }
    x.dispose();
    weights.dispose();
  });

  it.each(kinds.flatMap((storage) => [4, 7].map((width) => [storage, width] as const)))(
    "are tables of embedding: %s, rows of %i",
    async (storage, width) => {
      const { parameter, wide } = half(storage, [9, width]);
      const ids = tf.tensor2d([8, 0, 3, 3, 5, 1], [2, 3], "int32");
      const table = tableOf(parameter);
      expect(explain(embeddingOperation, { table, ids }).kernel).toBe("embedding.f32.webgpu.rows");
      const expected = await take(embedding(wide, ids));
      expect(await take(embedding(table, ids))).toEqual(expected);
      const reference = withKernels({ embedding: "embedding.reference" }, () =>
        tf.tidy(() => embedding(table, ids)),
      );
      expect(await take(reference)).toEqual(expected);
      tf.dispose([wide, ids]);
      parameter.dispose();
    },
  );

  it.each(kinds)("are read in parts beyond the binding limit: %s", async (storage) => {
    for (const layout of ["linear", "conv1d"] as const) {
      const { bits, parameter, wide } = half(storage, layout === "linear" ? [384, 32] : [32, 384]);
      const weights = createWeights();
      const layer = weights.linear("layer", { in: 32, out: 384, layout, bias: false });
      weights.find("layer.weight")!.assignHalf(storage, bits);
      const x = drawn("x", [2, 32]);
      const whole = await take(linear({ x, weight: wide, layout }));
      // 24 KiB in 16 bits.
      const found = await take(withBindingLimit(8192, () => layer(x)));
      expect(largestDifference(found, whole)).toBeLessThan(1e-5);

      const matrix = tableOf(parameter) as PackedMatrix;
      const ids = tf.tensor1d(layout === "linear" ? [383, 0, 200, 128] : [31, 0, 16, 15], "int32");
      const rows = await take(embedding(wide, ids));
      expect(await take(withBindingLimit(8192, () => embedding(matrix, ids)))).toEqual(rows);
      // 48 KiB as float32.
      const unpacked = withBindingLimit(8192, () => matrix.packing.unpack(matrix));
      expect(await take(unpacked)).toEqual(await take(wide));
      tf.dispose([x, ids]);
      parameter.dispose();
      weights.dispose();
    }
  });

  it("run by the reference too, and by nobody else's kernels", async () => {
    const { parameter, wide } = half("f16", [4, 3]);
    const x = drawn("x", [2, 3]);
    const weight = tableOf(parameter) as PackedMatrix;
    const call: LinearCall = { x, weight };
    const reference = withKernels({ linear: "linear.reference" }, () => tf.tidy(() => linear(call)));
    expect(largestDifference(await take(reference), await take(linear({ x, weight: wide })))).toBeLessThan(
      1e-6,
    );
    const packing = { ...weight.packing, name: "f16.elsewhere" };
    const { kernel, refused } = explain(linearOperation, { x, weight: { ...weight, packing } });
    expect(kernel).toBe("linear.reference");
    expect(refused[0]!.reasons).toEqual(["the weight is packed as f16.elsewhere"]);
    tf.dispose([x, wide]);
    parameter.dispose();
  });
});
