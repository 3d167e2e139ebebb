import { cacheWriteKernel, cacheWriteSpans } from "@heddle/attention";
import type { CacheWriteCall } from "@heddle/attention";
import type { Kernel } from "@heddle/core";
import { engine, onDevice } from "./engine.ts";

const bytesPerValue = 4;

/** Copies new keys and values into the cache's buffer on the device. */
export const cacheWriteWebGpu: Kernel<CacheWriteCall> = cacheWriteKernel({
  name: "cacheWrite.f32.webgpu.inPlace",
  backend: "webgpu",
  write(call) {
    const [target, source] = [onDevice(call.buffer), onDevice(call.rows)];
    const own = engine();
    own.ensureCommandEncoderReady();
    own.endComputePassEncoder();
    // The encoder keeps the order: whatever reuses the memory of freed rows is recorded later.
    const { commandEncoder } = own;
    for (const { from, to, length } of cacheWriteSpans(call))
      commandEncoder.copyBufferToBuffer(
        source.resource,
        from * bytesPerValue,
        target.resource,
        to * bytesPerValue,
        length * bytesPerValue,
      );
    // What was read before is no longer so.
    target.values = null;
  },
});
