import { activeBackend, HeddleError, startBackend } from "@heddle/core";
import * as tf from "@tensorflow/tfjs-core";
import { afterEach, describe, expect, it } from "vitest";
import { webgpu } from "./webgpu.ts";

const [rows, inner, columns] = [5, 33, 7];
const value = (i: number): number => ((i * 37) % 11) - 5;
const left = Float32Array.from({ length: rows * inner }, (_, i) => value(i));
const right = Float32Array.from({ length: inner * columns }, (_, i) => value(i + 3));

/** The same product in plain loops; every number is a small integer, so that all orders of summation agree. */
const expected = Float32Array.from({ length: rows * columns }, (_, at) => {
  const [row, column] = [Math.floor(at / columns), at % columns];
  let sum = 0;
  for (let k = 0; k < inner; k++) sum += left[row * inner + k]! * right[k * columns + column]!;
  return sum;
});

async function product(): Promise<Float32Array> {
  const result = tf.tidy(() =>
    tf.matMul(tf.tensor2d(left, [rows, inner]), tf.tensor2d(right, [inner, columns])),
  );
  const values = await result.data<"float32">();
  result.dispose();
  return values;
}

afterEach(async () => {
  while (activeBackend()) await activeBackend()!.dispose();
});

describe("webgpu in a page", () => {
  it("multiplies", async () => {
    const backend = await startBackend(webgpu());
    expect(backend).toMatchObject({ name: "webgpu", refused: [] });
    expect(await product()).toEqual(expected);
    expect(backend.memory().tensors).toBe(0);
  });

  it("refuses to read zeros synchronously, and reports a validation error", async () => {
    await startBackend(webgpu());
    const sum = tf.tidy(() => tf.add(tf.tensor1d([1]), 1));
    expect(() => sum.dataSync()).toThrow(HeddleError);
    expect(() => sum.dataSync()).toThrow(
      "webgpu: values must be read by await tensor.data(), got dataSync()",
    );
    const device: { createShaderModule(descriptor: { code: string }): object } = Reflect.get(
      tf.backend(),
      "device",
    );
    device.createShaderModule({ code: "no shader" });
    await expect(sum.data()).rejects.toThrow(
      "webgpu: commands must be valid on the device, got GPUValidationError",
    );
    expect(() => activeBackend()!.checkErrors()).toThrow("GPUValidationError");
    sum.dispose();
  });

  it("rejects what is in flight when the device is lost, and recovers", async () => {
    const backend = await startBackend(webgpu());
    const x = tf.ones([64, 64]);
    const y = tf.matMul(x, x);
    const inFlight = [y.data(), x.data(), backend.finish()];
    Reflect.get(tf.backend(), "device").destroy();
    const lost = {
      name: "HeddleError",
      code: "invalid-state",
      message: expect.stringContaining("webgpu: the device must not be lost, got destroyed"),
    };
    for (const call of inFlight) await expect(call).rejects.toMatchObject(lost);
    // An upload too, which wants memory of a device that is gone.
    const after = tf.add(y, tf.ones([64, 64]));
    await expect(after.data()).rejects.toMatchObject(lost);
    await backend.recover();
    expect(await product()).toEqual(expected);
    await expect(y.data()).rejects.toThrow("tensor: must be made again");
  });
});
