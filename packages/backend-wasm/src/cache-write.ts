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
    // The rows first: bringing them from another backend grows the heap, which would detach a view made before.
    const source = engine.typedArrayFromHeap(call.rows);
    const target = engine.typedArrayFromHeap(call.buffer);
    for (const { from, to, length } of cacheWriteSpans(call))
      target.set(source.subarray(from, from + length), to);
  },
});
