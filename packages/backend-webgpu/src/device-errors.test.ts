import { describe, expect, it } from "vitest";
import { watchDevice } from "./device-errors.ts";
import type { DeviceErrors } from "./device-errors.ts";
import type { WebGpuDevice, WebGpuErrorEvent } from "./gpu.ts";

/** A device that is lost, or reports an error, when it is told to. */
function scripted(): { errors: DeviceErrors; lose(): void; report(message: string): void } {
  let lose!: () => void;
  let report!: (message: string) => void;
  const device: WebGpuDevice = {
    features: new Set(),
    lost: new Promise((resolve) => {
      lose = () => resolve({ reason: "unknown", message: "the driver fell" });
    }),
    queue: { onSubmittedWorkDone: async () => undefined },
    addEventListener: (_, listener) => {
      report = (message) => listener({ error: new RangeError(message) } as unknown as WebGpuErrorEvent);
    },
    removeEventListener: () => {
      report = () => undefined;
    },
    destroy: () => undefined,
  };
  return { errors: watchDevice(device), lose: () => lose(), report: (message) => report(message) };
}

const never = new Promise<never>(() => undefined);
const lost =
  "webgpu: the device must not be lost, got unknown: the driver fell. Await backend.recover() to start another one";

describe("watchDevice", () => {
  it("gives what the device does, and its failures, while all is well", async () => {
    const { errors } = scripted();
    expect(await errors.unlessLost(Promise.resolve(3))).toBe(3);
    await expect(errors.unlessLost(Promise.reject(new RangeError("own")))).rejects.toThrow("own");
    errors.check();
  });

  it("ends work that never settles when the device is lost", async () => {
    const { errors, lose } = scripted();
    const calls = [errors.unlessLost(never), errors.unlessLost(never)];
    expect(errors.lost).toBe(false);
    lose();
    for (const call of calls)
      await expect(call).rejects.toMatchObject({ code: "invalid-state", message: lost });
  });

  it("says that the device is lost where work was aborted before, or is done after", async () => {
    const { errors, lose } = scripted();
    const aborted = errors.unlessLost(Promise.reject(new DOMException("unmapped", "AbortError")));
    const done = errors.unlessLost(new Promise((resolve) => void setTimeout(resolve, 100)));
    setTimeout(lose, 50);
    await expect(aborted).rejects.toThrow(lost);
    await expect(done).rejects.toThrow(lost);
    await expect(errors.unlessLost(Promise.resolve(0))).rejects.toThrow(lost);
    await expect(errors.unlessLost(never)).rejects.toThrow(lost);
    expect(errors.lost).toBe(true);
    for (let i = 0; i < 2; i++) expect(() => errors.take()).toThrow(lost);
  });

  it("says that work was aborted where the device says nothing", async () => {
    const { errors } = scripted();
    const aborted = errors.unlessLost(Promise.reject(new DOMException("unmapped", "AbortError")));
    await expect(aborted).rejects.toThrow("unmapped");
  });

  it("says which command made work fail", async () => {
    const { errors, report } = scripted();
    report("too large");
    report("second");
    const message = "webgpu: commands must be valid on the device, got RangeError: too large";
    await expect(errors.unlessLost(Promise.reject(new Error("no buffer")))).rejects.toThrow(message);
    expect(() => errors.check()).toThrow(message);
    expect(() => errors.take()).toThrow(message);
    errors.check();
  });

  it("ends work that never settles when nobody listens any more, and hears nothing then", async () => {
    const { errors, lose, report } = scripted();
    const ended = expect(errors.unlessLost(never)).rejects.toMatchObject({
      code: "invalid-state",
      message: "webgpu: the device must be used, and results awaited, before the backend is disposed",
    });
    errors.stop();
    report("late");
    lose();
    await ended;
    expect(() => errors.check()).toThrow("before the backend is disposed");
  });
});
