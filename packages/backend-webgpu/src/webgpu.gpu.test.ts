import { activation, activeBackend, HeddleError, startBackend } from "@heddle/core";
import * as tf from "@tensorflow/tfjs-core";
import { afterEach, describe, expect, it } from "vitest";
import type { WebGpuDevice } from "./gpu.ts";
import { webgpu } from "./webgpu.ts";

/** A device as far as these tests reach into it. */
interface Device extends WebGpuDevice {
  readonly limits: Readonly<Record<string, number>>;
  createShaderModule(descriptor: { code: string }): object;
}

interface Adapter extends Pick<Device, "limits" | "features"> {
  requestDevice(): Promise<Device>;
}

async function requestAdapter(): Promise<Adapter> {
  const { gpu } = navigator as { gpu: { requestAdapter(): Promise<unknown> } };
  return (await gpu.requestAdapter()) as Adapter;
}

/** The device of the active backend. */
function device(): Device {
  return Reflect.get(tf.backend(), "device");
}

async function product(): Promise<number[]> {
  const result = tf.tidy(() => tf.matMul(tf.tensor2d([[1, 2]]), tf.tensor2d([[3], [4]])));
  const values = [...(await result.data())];
  result.dispose();
  return values;
}

afterEach(async () => {
  while (activeBackend()) await activeBackend()!.dispose();
});

describe("webgpu", () => {
  it("computes on the device, not on the CPU", async () => {
    const backend = await startBackend(webgpu());
    expect(backend.name).toBe("webgpu");
    expect(backend.description).toMatch(/\w/);
    expect(await product()).toEqual([11]);
    expect(backend.memory()).toEqual({ tensors: 0, bytes: 0 });
    const [a, b] = [tf.tensor1d([1]), tf.tensor1d([2])];
    const sum = tf.add(a, b);
    expect(() => sum.dataSync()).toThrow(
      "webgpu: values must be read by await tensor.data(), got dataSync()",
    );
    expect([...(await sum.data())]).toEqual([3]);
    expect([...sum.dataSync()]).toEqual([3]);
    tf.dispose([a, b, sum]);
  });

  it("asks for more than the default limits and features where the adapter has them", async () => {
    await startBackend(webgpu());
    const adapter = await requestAdapter();
    const { limits, features } = device();
    for (const limit of ["maxStorageBuffersPerShaderStage", "maxStorageBufferBindingSize", "maxBufferSize"])
      expect(limits[limit]).toBe(adapter.limits[limit]);
    for (const feature of ["subgroups", "shader-f16"])
      expect(features.has(feature)).toBe(adapter.features.has(feature));
  });

  it("turns a validation error into a HeddleError at the next read", async () => {
    const backend = await startBackend(webgpu());
    const sum = tf.tidy(() => tf.add(tf.tensor1d([1]), 1));
    device().createShaderModule({ code: "no shader" });
    const error = await sum.data().catch((e: unknown) => e);
    expect(error).toBeInstanceOf(HeddleError);
    expect(error).toMatchObject({
      code: "unsupported",
      message: expect.stringMatching(
        /^webgpu: commands must be valid on the device, got GPUValidationError: .*no shader/s,
      ),
    });
    expect(() => backend.checkErrors()).toThrow("GPUValidationError");
    expect(() => backend.checkErrors()).not.toThrow();
    expect([...(await sum.data())]).toEqual([2]);
    sum.dispose();
  });

  it("finish waits for the device and reports", async () => {
    const backend = await startBackend(webgpu());
    await backend.finish();
    device().createShaderModule({ code: "no shader" });
    await expect(backend.finish()).rejects.toThrow("GPUValidationError");
  });

  it("says that the device is lost, until it is disposed", async () => {
    const backend = await startBackend(webgpu());
    device().destroy();
    await device().lost;
    for (let i = 0; i < 2; i++)
      expect(() => backend.checkErrors()).toThrow("webgpu: the device must not be lost, got destroyed");
    await expect(backend.dispose()).rejects.toThrow("the device must not be lost");
    await startBackend(webgpu());
    expect(await product()).toEqual([11]);
  });

  it("rejects reads and waits that are in flight when the device is lost, and every later one", async () => {
    const backend = await startBackend(webgpu());
    const [x, known] = [tf.ones([64, 64]), tf.tensor1d([1])];
    const y = tf.matMul(x, x);
    const inFlight = [y.data(), x.data(), backend.finish()];
    device().destroy();
    const lost = {
      name: "HeddleError",
      code: "invalid-state",
      message: expect.stringContaining("webgpu: the device must not be lost, got destroyed"),
    };
    for (const call of inFlight) await expect(call).rejects.toMatchObject(lost);
    const after = tf.add(y, known);
    for (const call of [after.data(), y.data(), known.data(), backend.finish()])
      await expect(call).rejects.toMatchObject(lost);
    tf.dispose([x, y, known, after]);
    expect(backend.memory().tensors).toBe(0);
    await expect(backend.dispose()).rejects.toMatchObject(lost);
  });

  it("rejects a read that is in flight when the backend is disposed", async () => {
    const backend = await startBackend(webgpu());
    const y = tf.tidy(() => tf.matMul(tf.ones([64, 64]), tf.ones([64, 64])));
    const read = y.data();
    await backend.dispose();
    await expect(read).rejects.toMatchObject({
      code: "invalid-state",
      message: "webgpu: the device must be used, and results awaited, before the backend is disposed",
    });
    y.dispose();
  });

  it("recovers from a loss on another device; what was on the old one is gone and says so", async () => {
    const backend = await startBackend(webgpu());
    const lost = device();
    const [x, y] = [tf.tensor1d([1, 2]), tf.tensor1d([3, 4])];
    const sum = tf.add(x, y);
    expect([...(await sum.data())]).toEqual([4, 6]);
    lost.destroy();
    await lost.lost;
    await backend.recover();
    expect(device()).not.toBe(lost);
    expect(await product()).toEqual([11]);
    const gone = "tensor: must be made again, since the device that held it was lost";
    await expect(sum.data()).rejects.toMatchObject({ code: "invalid-state", message: gone });
    for (const use of [
      () => tf.mul(x, 2),
      () => tf.reshape(sum, [2, 1]),
      () => activation({ x, kind: "relu" }),
    ])
      expect(() => tf.tidy(use)).toThrow(gone);
    tf.dispose([x, y, sum]);
    expect(backend.memory().tensors).toBe(0);
    await backend.finish();
  });

  it("does not recover on a lost device that was given to it", async () => {
    const own = await (await requestAdapter()).requestDevice();
    const backend = await startBackend(webgpu({ device: own }));
    own.destroy();
    await own.lost;
    await expect(backend.recover()).rejects.toMatchObject({
      code: "invalid-state",
      message: "webgpu: device must be one that is not lost, got a lost one",
    });
    await expect(backend.dispose()).rejects.toThrow("the device must not be lost");
    await expect(startBackend(webgpu({ device: own }))).rejects.toThrow(
      "device must be one that is not lost",
    );
  });

  it("keeps a device that was given to it", async () => {
    const own = await (await requestAdapter()).requestDevice();
    const backend = await startBackend(webgpu({ device: own }));
    expect(device()).toBe(own);
    expect(await product()).toEqual([11]);
    await backend.dispose();
    await own.queue.onSubmittedWorkDone();
    own.destroy();
  });

  it("leaves no registration, and tensors that outlive it can be disposed", async () => {
    const names = tf.engine().backendNames();
    const backend = await startBackend(webgpu());
    const left = tf.tidy(() => tf.add(tf.tensor1d([1]), 1));
    await backend.dispose();
    expect(tf.engine().backendNames()).toEqual(names);
    left.dispose();
    expect(backend.memory().tensors).toBe(0);
  });
});
