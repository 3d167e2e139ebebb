import type { WasmOptions } from "./wasm.ts";

/** Every form of our kernels that Node 24 can run. */
export const variants: readonly WasmOptions[] = [
  { simd: "plain", wide: false },
  { simd: "relaxed", wide: false },
  { simd: "relaxed", wide: true },
];
