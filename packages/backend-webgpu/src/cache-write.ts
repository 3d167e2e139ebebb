import { cacheWriteKernel, cacheWriteSpans } from "@heddle/attention";
import type { CacheWriteCall } from "@heddle/attention";
import type { Kernel } from "@heddle/core";
import type { WebGPUBackend } from "@tensorflow/tfjs-backend-webgpu";
import * as tf from "@tensorflow/tfjs-core";
import type { Tensor } from "@tensorflow/tfjs-core";

/** What is used of a `GPUCommandEncoder`. */
interface Encoder {
  copyBufferToBuffer(source: object, from: number, target: object, to: number, bytes: number): void;
}

const bytesPerValue = 4;

/** Copies new keys and values into the cache's buffer on the device. */
export const cacheWriteWebGpu: Kernel<CacheWriteCall> = cacheWriteKernel({
  name: "cacheWrite.f32.webgpu.inPlace",
  backend: "webgpu",
  write(call) {
    const engine = tf.backend() as WebGPUBackend;
    const onDevice = ({ dataId }: Tensor): ReturnType<typeof engine.tensorMap.get> => {
      const data = engine.tensorMap.get(dataId);
      engine.uploadToGPU(dataId);
      return data;
    };
    const [target, source] = [onDevice(call.buffer), onDevice(call.rows)];
    engine.ensureCommandEncoderReady();
    engine.endComputePassEncoder();
    // The encoder keeps the order: whatever reuses the memory of freed rows is recorded later.
    const encoder: Encoder = Reflect.get(engine, "commandEncoder");
    for (const { from, to, length } of cacheWriteSpans(call))
      encoder.copyBufferToBuffer(
        source.resource!,
        from * bytesPerValue,
        target.resource!,
        to * bytesPerValue,
        length * bytesPerValue,
      );
    // What was read before is no longer so.
    target.values = null!;
  },
});
