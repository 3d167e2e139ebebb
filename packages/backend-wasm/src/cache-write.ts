import { cacheWriteKernel, cacheWriteSpans } from "@heddle/attention";
import type { CacheWriteCall } from "@heddle/attention";
import type { Kernel } from "@heddle/core";
import { machine } from "./machine.ts";

/** Writes new keys and values into the cache's place in the heap. */
export const cacheWriteWasm: Kernel<CacheWriteCall> = cacheWriteKernel({
  name: "cacheWrite.f32.wasm.inPlace",
  backend: "wasm",
  write(call) {
    const { address, memory } = machine();
    // Addresses first: bringing rows from another backend may grow the heap, which would detach a view made before.
    const [source, target] = [address(call.rows) / 4, address(call.buffer) / 4];
    const heap = new Float32Array(memory.buffer);
    for (const { from, to, length } of cacheWriteSpans(call))
      heap.copyWithin(target + to, source + from, source + from + length);
  },
});
