import { attentionOperation } from "@heddle/attention";
import { attentionCases, testKernel, useBackend } from "@heddle/conformance";
import { describe } from "vitest";
import { attentionWebGpu } from "./attention.ts";

describe("attention on webgpu", () => {
  useBackend("webgpu");
  testKernel(attentionOperation, attentionWebGpu, attentionCases);
});
