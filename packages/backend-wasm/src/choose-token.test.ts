import { chooseTokenCases, testKernel, useBackend, wasmVariants } from "@heddle/conformance";
import { chooseTokenOperation } from "@heddle/core";
import { describe } from "vitest";
import { chooseTokenWasm } from "./choose-token.ts";
import { wasm } from "./wasm.ts";

describe.each(wasmVariants)("chooseToken on wasm %j", (options) => {
  useBackend(wasm(options));
  testKernel(chooseTokenOperation, chooseTokenWasm, chooseTokenCases, { forward: 0 });
});
