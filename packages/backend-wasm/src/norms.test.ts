import { layerNormCases, rmsNormCases, testKernel, useBackend } from "@heddle/conformance";
import { layerNormOperation, rmsNormOperation } from "@heddle/core";
import { describe } from "vitest";
import { layerNormWasm, rmsNormWasm } from "./norms.ts";

describe("norms on wasm", () => {
  useBackend("wasm");
  testKernel(layerNormOperation, layerNormWasm, layerNormCases);
  testKernel(rmsNormOperation, rmsNormWasm, rmsNormCases);
});
