import { HeddleError } from "@heddle/core";
import type { WebGpuDevice, WebGpuErrorEvent } from "./gpu.ts";

/** Collects what a device reports on the side: WebGPU's errors do not throw, the results are silently wrong. */
export interface DeviceErrors {
  /** Throws the first error; it stays. */
  check(): void;
  /** Throws the first error and forgets it, except a lost device. */
  take(): void;
  /** Stops listening. */
  stop(): void;
}

/** Listens to a device until `stop`. */
export function watchDevice(device: WebGpuDevice): DeviceErrors {
  let first: HeddleError | undefined;
  let lost: HeddleError | undefined;
  let watching = true;
  const listen = ({ error }: WebGpuErrorEvent): void => {
    first ??= new HeddleError(
      "unsupported",
      `webgpu: commands must be valid on the device, got ${error.constructor.name}: ${error.message}`,
      { cause: error },
    );
  };
  device.addEventListener("uncapturederror", listen);
  void device.lost.then(({ reason, message }) => {
    if (watching)
      lost = new HeddleError(
        "invalid-state",
        `webgpu: the device must not be lost, got ${reason || "unknown"}: ${message}. Dispose the backend and start it again`,
      );
  });
  const check = (): void => {
    if (lost) throw lost;
    if (first) throw first;
  };
  return {
    check,
    take() {
      try {
        check();
      } finally {
        first = undefined;
      }
    },
    stop() {
      watching = false;
      device.removeEventListener("uncapturederror", listen);
    },
  };
}
