import { attentionMapsOperation } from "@heddle/attention";
import { attentionMapsCases, testKernel, useBackend } from "@heddle/conformance";
import { describe } from "vitest";
import { attentionMapsWebGpu } from "./attention-maps.ts";

/** Those that attention-maps.gpu.test.ts leaves out. */
const isSlow = (name: string): boolean =>
  /random call|random modifier ([2-9]|1\d)|many tiles|keys in steps/.test(name);

describe("attention maps on webgpu, large and varied", () => {
  useBackend("webgpu");
  testKernel(
    attentionMapsOperation,
    attentionMapsWebGpu,
    attentionMapsCases.filter(({ name }) => isSlow(name)),
  );
});
