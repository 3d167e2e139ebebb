import { HeddleError } from "@heddle/core";
import type { WebGpuDevice, WebGpuErrorEvent } from "./gpu.ts";

/** Collects what a device reports on the side: WebGPU's errors do not throw, the results are silently wrong. */
export interface DeviceErrors {
  /** Whether the device is lost, or no longer listened to. */
  readonly lost: boolean;
  /** Throws the first error; it stays. */
  check(): void;
  /** Throws the first error and forgets it, except a lost device. */
  take(): void;
  /** Waits for something that the device does. Rejects as soon as the device is lost, or no longer listened to. */
  unlessLost<T>(work: Promise<T>): Promise<T>;
  /** Stops listening, and ends what is waited for. */
  stop(): void;
}

/** Chromium aborts work a while before it says that the device is lost: at most this long, in ms. */
const TELLING = 1000;

const isAborted = (error: unknown): boolean => Reflect.get(Object(error), "name") === "AbortError";

/** Listens to a device until `stop`. */
export function watchDevice(device: WebGpuDevice): DeviceErrors {
  let first: HeddleError | undefined;
  let lost: HeddleError | undefined;
  // Not Promise.race with one promise for all: that would keep each result until the device is lost.
  const waiting = new Set<(reason: HeddleError) => void>();
  const listen = ({ error }: WebGpuErrorEvent): void => {
    first ??= new HeddleError(
      "unsupported",
      `webgpu: commands must be valid on the device, got ${error.constructor.name}: ${error.message}`,
      { cause: error },
    );
  };
  const lose = (message: string): void => {
    lost ??= new HeddleError("invalid-state", message);
    for (const reject of waiting) reject(lost);
  };
  device.addEventListener("uncapturederror", listen);
  void device.lost.then(({ reason, message }) =>
    lose(
      `webgpu: the device must not be lost, got ${reason || "unknown"}: ${message}. Await backend.recover() to start another one`,
    ),
  );
  const check = (): void => {
    if (lost) throw lost;
    if (first) throw first;
  };
  return {
    get lost() {
      return lost !== undefined;
    },
    check,
    take() {
      try {
        check();
      } finally {
        first = undefined;
      }
    },
    async unlessLost<T>(work: Promise<T>) {
      let giveUp: (reason: HeddleError) => void;
      try {
        return await new Promise<T>((resolve, reject) => {
          waiting.add((giveUp = reject));
          if (lost) reject(lost);
          const fail = (error: unknown): void =>
            void setTimeout(() => reject(first ?? error), isAborted(error) ? TELLING : 0);
          const succeed = (value: T): void => {
            if (lost) reject(lost);
            // One mistake is several errors, and Chromium tells of the others in a moment: they belong to this call.
            else if (first) setTimeout(resolve, 0, value);
            else resolve(value);
          };
          work.then(succeed, fail);
        });
      } finally {
        waiting.delete(giveUp!);
      }
    },
    stop() {
      device.removeEventListener("uncapturederror", listen);
      lose("webgpu: the device must be used, and results awaited, before the backend is disposed");
    },
  };
}
