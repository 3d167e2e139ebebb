import { activeBackend, startBackend } from "@heddle/core";
import * as tf from "@tensorflow/tfjs-core";
import { afterEach, describe, expect, it, vi } from "vitest";
import { cpu } from "./cpu.ts";

afterEach(async () => {
  while (activeBackend()) await activeBackend()!.dispose();
});

describe("cpu", () => {
  it("registers in the copy of tfjs-core that its kernels use", async () => {
    const backend = await startBackend(cpu());
    expect(backend).toMatchObject({ name: "cpu", description: "plain JavaScript, 1 thread", refused: [] });
    expect(tf.getBackend()).toBe("cpu");
    const product = tf.tidy(() => tf.matMul(tf.tensor2d([[1, 2]]), tf.tensor2d([[3], [4]])));
    expect([...(await product.data())]).toEqual([11]);
    product.dispose();
    expect(backend.memory()).toEqual({ tensors: 0, bytes: 0 });
  });

  it("refuses an option that it does not have", () => {
    expect(() => cpu({ kernel: [] } as object)).toThrow(
      'cpu: options must have only the fields kernels, got "kernel"',
    );
  });

  it("refuses kernels that are none", () => {
    // @ts-expect-error One kernel is no list.
    expect(() => cpu({ kernels: {} })).toThrow("cpu: kernels must be a list of kernels, got {}");
  });

  it("prints nothing", async () => {
    const warn = vi.spyOn(console, "warn");
    await startBackend(cpu());
    tf.tensor1d([1]).dispose();
    expect(warn).not.toHaveBeenCalled();
  });

  it("leaves nothing behind and starts again", async () => {
    const before = tf.engine().backendNames();
    for (let round = 0; round < 2; round++) {
      const backend = await startBackend(cpu());
      await backend.dispose();
      expect(tf.engine().backendNames()).toEqual(before);
      expect(tf.engine().registry["cpu"]).toBeUndefined();
    }
  });
});
