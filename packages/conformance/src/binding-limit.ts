import * as tf from "@tensorflow/tfjs-core";
import { expect, vi } from "vitest";

/** The part of a device that is watched. */
interface Device {
  readonly limits: Readonly<Record<string, number>>;
  createBindGroup(descriptor: {
    entries: { resource: { buffer: { size: number }; size?: number } }[];
  }): object;
}

/**
 * Runs `f` on webgpu as on a device that lets a program see at most so many bytes of a tensor, of which there is none
 * that small, and checks that none saw more.
 * @returns What `f` gives, and how many times a program ran meanwhile.
 */
export async function withBindingLimit<T>(
  bytes: number,
  f: () => Promise<T>,
): Promise<{ value: T; programs: number }> {
  const { device } = tf.backend() as unknown as { device: Device };
  const own = device.limits;
  const pretended = new Proxy(own, {
    get: (_, limit: string) => (limit === "maxStorageBufferBindingSize" ? bytes : own[limit]),
  });
  const limits = vi.spyOn(device, "limits", "get").mockReturnValue(pretended);
  const bind = vi.spyOn(device, "createBindGroup");
  try {
    const value = await f();
    for (const [{ entries }] of bind.mock.calls)
      for (const { resource } of entries)
        expect(resource.size ?? resource.buffer.size).toBeLessThanOrEqual(bytes);
    return { value, programs: bind.mock.calls.length };
  } finally {
    limits.mockRestore();
    bind.mockRestore();
  }
}
