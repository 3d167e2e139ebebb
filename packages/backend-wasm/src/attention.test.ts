import { attentionOperation } from "@heddle/attention";
import { attentionCases, testKernel, useBackend } from "@heddle/conformance";
import { describe } from "vitest";
import { attentionWasm } from "./attention.ts";
import { variants } from "./variants.fixture.ts";
import { wasm } from "./wasm.ts";

describe.each(variants)("attention on wasm %j", (options) => {
  useBackend(wasm(options));
  testKernel(attentionOperation, attentionWasm, attentionCases);
});
