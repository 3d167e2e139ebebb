/// <reference types="vite/client" />
import { goldenFamilies, testModel, wasmVariants } from "@heddle/conformance";
import wasm from "@tensorflow/tfjs-backend-wasm/wasm-out/tfjs-backend-wasm-simd.wasm?url";
import { describe } from "vitest";

/** Each family on one case with everything in it; goldens.test.ts has all. */
const cases = { gpt: "padded", bert: "pretraining", longformer: "globals" };

describe.each(wasmVariants)("%j", (options) => {
  for (const settings of goldenFamilies) {
    const name = settings.family.family as keyof typeof cases;
    const golden = new URL(`./${name}/goldens/${cases[name]}.safetensors`, import.meta.url);
    testModel(settings, [golden], { backend: "wasm", options: { ...options, wasm } });
  }
});
