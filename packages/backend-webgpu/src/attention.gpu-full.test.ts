import { attentionOperation } from "@heddle/attention";
import { attentionCases, testKernel, useBackend } from "@heddle/conformance";
import { describe } from "vitest";
import { attentionWebGpu } from "./attention.ts";

describe("attention on webgpu, every case", () => {
  useBackend("webgpu");
  testKernel(attentionOperation, attentionWebGpu, attentionCases);
});
