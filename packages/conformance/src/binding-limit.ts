import * as tf from "@tensorflow/tfjs-core";
import { expect, vi } from "vitest";

/** The part of a device that is watched. */
interface Device {
  readonly limits: Readonly<Record<string, number>>;
  createBindGroup(descriptor: {
    entries: { resource: { buffer: { size: number }; size?: number } }[];
  }): object;
}

/** So many arrays every device lets a program see. */
const ARRAYS = 8;

const deviceOf = (): Device => (tf.backend() as unknown as { device: Device }).device;

/** Runs `f` on webgpu, and gives what it gives with the bytes that each program saw of each array. */
export function watchBindings<T>(f: () => T): { value: T; programs: readonly (readonly number[])[] } {
  const bind = vi.spyOn(deviceOf(), "createBindGroup");
  try {
    const value = f();
    const programs = bind.mock.calls.map(([{ entries }]) =>
      // The last are the uniforms.
      entries.slice(0, -1).map(({ resource }) => resource.size ?? resource.buffer.size),
    );
    return { value, programs };
  } finally {
    bind.mockRestore();
  }
}

/**
 * Runs `f` on webgpu as on a device that lets a program see no more arrays than every device does, and of each at most
 * so many bytes, of which there is none that small, and checks that no program saw more.
 */
export function withBindingLimit<T>(bytes: number, f: () => T): T {
  const device = deviceOf();
  const own = device.limits;
  const pretended: Readonly<Record<string, number>> = {
    maxStorageBufferBindingSize: bytes,
    maxStorageBuffersPerShaderStage: ARRAYS,
  };
  const limits = vi
    .spyOn(device, "limits", "get")
    .mockReturnValue(new Proxy(own, { get: (_, limit: string) => pretended[limit] ?? own[limit] }));
  try {
    const { value, programs } = watchBindings(f);
    for (const seen of programs) {
      expect(Math.max(...seen), "bytes of an array").toBeLessThanOrEqual(bytes);
      expect(seen.length, "arrays of a program").toBeLessThanOrEqual(ARRAYS);
    }
    return value;
  } finally {
    limits.mockRestore();
  }
}
