/// <reference types="vite/client" />
import { goldenFamilies, testModel, wasmVariants } from "@heddle/conformance";
import wasm from "@tensorflow/tfjs-backend-wasm/wasm-out/tfjs-backend-wasm-simd.wasm?url";
import { describe, expect, it } from "vitest";

const urls = import.meta.glob<string>(["./*/goldens/*.safetensors", "!**/full-*"], {
  query: "?url",
  import: "default",
  eager: true,
});
const small = (family: string): URL[] =>
  Object.entries(urls)
    .filter(([file]) => file.startsWith(`./${family}/`))
    .map(([, url]) => new URL(url, location.href));

it("finds the small cases of every family", () => {
  expect(goldenFamilies.map(({ family: { family } }) => [family, small(family).length])).toEqual([
    ["gpt", 4],
    ["bert", 6],
    ["longformer", 6],
  ]);
});

describe.each(wasmVariants)("%j", (options) => {
  for (const settings of goldenFamilies)
    testModel(settings, small(settings.family.family), {
      backend: "wasm",
      options: { ...options, wasm },
    });
});
