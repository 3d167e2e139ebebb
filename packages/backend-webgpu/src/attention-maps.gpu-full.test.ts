import { attentionMapsOperation } from "@heddle/attention";
import { attentionMapsCases, testKernel, useBackend } from "@heddle/conformance";
import { describe } from "vitest";
import { attentionMapsWebGpu } from "./attention-maps.ts";

describe("attention maps on webgpu, every case", () => {
  useBackend("webgpu");
  testKernel(attentionMapsOperation, attentionMapsWebGpu, attentionMapsCases);
});
