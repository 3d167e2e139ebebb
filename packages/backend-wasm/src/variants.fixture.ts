import type { WasmOptions } from "./wasm.ts";

/** Every form of our kernels that Node 24 can run. */
export const variants: readonly WasmOptions[] = [
  { simd: "plain", wide: false, threads: 1 },
  { simd: "plain", wide: false, threads: 2 },
  { simd: "relaxed", wide: false, threads: 1 },
  { simd: "relaxed", wide: false, threads: 2 },
  { simd: "relaxed", wide: true, threads: 1 },
  { simd: "relaxed", wide: true, threads: 2 },
];
