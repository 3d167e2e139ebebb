import { mergeHeads, mergeHeadsOperation, splitHeads, splitHeadsOperation } from "@heddle/attention";
import {
  drawParameter,
  expectGradients,
  mergeHeadsCases,
  splitHeadsCases,
  testKernel,
  useBackend,
  wasmVariants,
} from "@heddle/conformance";
import { describe, it } from "vitest";
import { mergeHeadsWasm, splitHeadsWasm } from "./heads.ts";
import { wasm } from "./wasm.ts";

describe.each(wasmVariants)("heads on wasm %j", (options) => {
  useBackend(wasm(options));
  testKernel(splitHeadsOperation, splitHeadsWasm, splitHeadsCases, { forward: 0, gradient: 0 });
  testKernel(mergeHeadsOperation, mergeHeadsWasm, mergeHeadsCases, { forward: 0, gradient: 0 });

  it("have the gradients that differences give", async () => {
    const [fused, apart] = [drawParameter("fused", [2, 5, 13]), drawParameter("apart", [2, 3, 5, 2])];
    const part = { heads: 3, headWidth: 2, begin: 4 };
    await expectGradients(() => splitHeads({ x: fused.tensor(), ...part }), [fused]);
    await expectGradients(() => mergeHeads(apart.tensor()), [apart]);
    fused.dispose();
    apart.dispose();
  });
});
