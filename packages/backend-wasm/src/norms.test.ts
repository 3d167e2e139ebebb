import { layerNormCases, rmsNormCases, testKernel, useBackend } from "@heddle/conformance";
import { layerNormOperation, rmsNormOperation } from "@heddle/core";
import { describe } from "vitest";
import { layerNormWasm, rmsNormWasm } from "./norms.ts";
import { variants } from "./variants.fixture.ts";
import { wasm } from "./wasm.ts";

describe.each(variants)("norms on wasm %j", (options) => {
  useBackend(wasm(options));
  testKernel(layerNormOperation, layerNormWasm, layerNormCases);
  testKernel(rmsNormOperation, rmsNormWasm, rmsNormCases);
});
