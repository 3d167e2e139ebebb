import { cacheWriteKernel, cacheWriteSpans } from "@heddle/attention";
import type { CacheWriteCall } from "@heddle/attention";
import type { Kernel } from "@heddle/core";
import type { MathBackendCPU } from "@tensorflow/tfjs-backend-cpu";
import * as tf from "@tensorflow/tfjs-core";
import type { Tensor } from "@tensorflow/tfjs-core";

/** Writes new keys and values into the array of the cache itself. */
export const cacheWriteCpu: Kernel<CacheWriteCall> = cacheWriteKernel({
  name: "cacheWrite.f32.cpu.inPlace",
  backend: "cpu",
  write(call) {
    const { data } = tf.backend() as MathBackendCPU;
    const valuesOf = ({ dataId }: Tensor): Float32Array => data.get(dataId).values as Float32Array;
    const [target, source] = [valuesOf(call.buffer), valuesOf(call.rows)];
    for (const { from, to, length } of cacheWriteSpans(call))
      target.set(source.subarray(from, from + length), to);
  },
});
