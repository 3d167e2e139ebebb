import { matmulCases, testKernel, useBackend } from "@heddle/conformance";
import { matmulOperation } from "@heddle/core";
import { describe } from "vitest";
import { matmulWebGpu } from "./matmul.ts";

describe("matmul on webgpu", () => {
  useBackend("webgpu");
  testKernel(matmulOperation, matmulWebGpu, matmulCases);
});
