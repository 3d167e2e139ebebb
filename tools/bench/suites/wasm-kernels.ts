import { wasmSuite } from "../wasm-suite.ts";
import type { BenchSuite } from "../suite.ts";
import { kernelCases } from "./kernels.ts";

/** Starts WASM and gives the cases of its kernels, in the sizes of BERT-base. */
export const wasmKernels = (): Promise<BenchSuite> =>
  wasmSuite(() => kernelCases({ rows: 512, width: 768, heads: 12, vocabulary: 8192 }));
