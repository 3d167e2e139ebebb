import { attentionMapsOperation } from "@heddle/attention";
import { attentionMapsCases, testKernel, useBackend } from "@heddle/conformance";
import { describe } from "vitest";
import { attentionMapsWasm } from "./attention-maps.ts";
import { variants } from "./variants.fixture.ts";
import { wasm } from "./wasm.ts";

describe.each(variants)("attention maps on wasm %j", (options) => {
  useBackend(wasm(options));
  testKernel(attentionMapsOperation, attentionMapsWasm, attentionMapsCases);
});
