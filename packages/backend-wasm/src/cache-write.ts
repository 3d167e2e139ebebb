import { cacheWriteKernel, cacheWriteSpans } from "@heddle/attention";
import type { CacheWriteCall } from "@heddle/attention";
import type { Kernel } from "@heddle/core";
import type { BackendWasm } from "@tensorflow/tfjs-backend-wasm";
import * as tf from "@tensorflow/tfjs-core";

/** Writes new keys and values into the cache's place in the heap. */
export const cacheWriteWasm: Kernel<CacheWriteCall> = cacheWriteKernel({
  name: "cacheWrite.f32.wasm.inPlace",
  backend: "wasm",
  write(call) {
    const engine = tf.backend() as BackendWasm;
    // Nothing allocates from here on: growth of the heap would detach the views.
    const [target, source] = [engine.typedArrayFromHeap(call.buffer), engine.typedArrayFromHeap(call.rows)];
    for (const { from, to, length } of cacheWriteSpans(call))
      target.set(source.subarray(from, from + length), to);
  },
});
