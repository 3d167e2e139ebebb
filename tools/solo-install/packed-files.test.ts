import { describe, expect, it } from "vitest";
import { packingFaults } from "./packed-files.ts";

describe("packingFaults", () => {
  const good = ["package.json", "dist/a.js", "dist/a.d.ts", "dist/a.d.ts.map", "src/a.ts", "dist/k.wasm"];

  it("accepts code and its sources", () => {
    expect(packingFaults(["dist", "src", "!**/*.test.ts"], good)).toEqual([]);
  });

  it.each(["src/a.test.ts", "src/a.test-d.ts", "src/gpt/goldens/tiny.json", "dist/.tsbuildinfo"])(
    "refuses %s",
    (path) => expect(packingFaults(["dist"], [...good, path])).toEqual([`${path} was packed`]),
  );

  it("refuses output whose source is gone, and a folder that is missing", () => {
    expect(packingFaults(["dist", "wasm"], [...good, "dist/old.js"])).toEqual([
      '"files" promises wasm, and nothing of it was packed',
      "dist/old.js was packed and src/old.ts is gone: delete that dist folder and build again",
    ]);
  });
});
