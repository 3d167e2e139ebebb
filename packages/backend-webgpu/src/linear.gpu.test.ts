import { linearCases, testKernel, useBackend } from "@heddle/conformance";
import { linearOperation } from "@heddle/core";
import { describe } from "vitest";
import { linearWebGpu } from "./linear.ts";

describe("linear on webgpu", () => {
  useBackend("webgpu");
  testKernel(linearOperation, linearWebGpu, linearCases);
});
