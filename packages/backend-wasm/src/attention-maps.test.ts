import { attentionMapsOperation } from "@heddle/attention";
import { attentionMapsCases, testKernel, useBackend, wasmVariants } from "@heddle/conformance";
import { describe } from "vitest";
import { attentionMapsWasm } from "./attention-maps.ts";
import { wasm } from "./wasm.ts";

describe.each(wasmVariants)("attention maps on wasm %j", (options) => {
  useBackend(wasm(options));
  testKernel(attentionMapsOperation, attentionMapsWasm, attentionMapsCases);
});
