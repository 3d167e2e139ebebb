import { attentionOperation } from "@heddle/attention";
import { attentionCases, testKernel, useBackend } from "@heddle/conformance";
import { describe } from "vitest";
import { attentionWasm } from "./attention.ts";

describe("attention on wasm", () => {
  useBackend("wasm");
  testKernel(attentionOperation, attentionWasm, attentionCases);
});
