import { describe, expect, it } from "vitest";
import { entryPoints } from "./entry-points.ts";

describe("entryPoints", () => {
  it("expands wildcards over the packed files and leaves out what is no module", () => {
    const exports = {
      ".": { "@x/source": "./src/index.ts", types: "./dist/index.d.ts", default: "./dist/index.js" },
      "./patterns/*": { default: "./dist/patterns/*.js" },
      "./plain": "./dist/plain.js",
      "./kernels.wasm": "./dist/kernels.wasm",
      "./package.json": "./package.json",
      "./hidden/*": null,
    };
    const files = [
      "dist/index.js",
      "dist/patterns/full.js",
      "dist/patterns/full.d.ts",
      "src/patterns/full.ts",
    ];
    expect(entryPoints("@x/a", exports, files)).toEqual(["@x/a", "@x/a/patterns/full", "@x/a/plain"]);
  });
});
