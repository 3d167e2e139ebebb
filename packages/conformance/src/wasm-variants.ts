import type { WasmOptions } from "@heddle/backend-wasm";

const { process } = globalThis as { process?: { readonly versions?: { readonly v8?: string } } };
/** Pages have relaxed instructions and no wide mode, as the V8 of Node 22 does. */
const v8 = parseFloat(process?.versions?.v8 ?? "12");

const plain: readonly WasmOptions[] = [
  { simd: "plain", wide: false, threads: 1 },
  { simd: "plain", wide: false, threads: 2 },
];
const relaxed: readonly WasmOptions[] = [
  { simd: "relaxed", wide: false, threads: 1 },
  { simd: "relaxed", wide: false, threads: 2 },
];
const wide: readonly WasmOptions[] = [
  { simd: "relaxed", wide: true, threads: 1 },
  { simd: "relaxed", wide: true, threads: 2 },
];

/**
 * Every form of wasm's kernels that this engine can run: plain ones in Node 20, relaxed ones too in pages, and wide
 * ones in Node 24.
 */
export const wasmVariants: readonly WasmOptions[] = [
  ...plain,
  ...(v8 >= 12 ? relaxed : []),
  ...(v8 >= 13 ? wide : []),
];
