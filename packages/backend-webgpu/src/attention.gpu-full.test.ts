import { attentionOperation } from "@heddle/attention";
import { attentionCases, testKernel, useBackend } from "@heddle/conformance";
import { describe } from "vitest";
import { attentionWebGpu } from "./attention.ts";

/** Those that attention.gpu.test.ts leaves out; of the random modifiers a few, since each costs five shaders. */
const isSlow = (name: string): boolean =>
  /^random call|^random modifier [0-3]$|widest|many tiles|keys in steps|bias by|soft cap|"length":3|"both"/.test(
    name,
  );

describe("attention on webgpu, large and varied", () => {
  useBackend("webgpu");
  testKernel(
    attentionOperation,
    attentionWebGpu,
    attentionCases.filter(({ name }) => isSlow(name)),
  );
});
