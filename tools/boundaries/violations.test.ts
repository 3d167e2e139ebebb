import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { importsOf } from "./imports.ts";
import { findViolations } from "./violations.ts";

describe("importsOf", () => {
  it("sees every way to name a module", () => {
    const source = `
      import type { A } from "a"; import "b"; export * from "c"; export { d } from "d";
      const lazy = () => import("e"); type F = import("f").F; new URL("./g.wasm", import.meta.url);
      new URL("https://example.org"); const text = "import 'not-this'";`;
    expect(importsOf("x.ts", source).toSorted()).toEqual(["./g.wasm", "a", "b", "c", "d", "e", "f"]);
  });

  it("names the file that does not parse", () => {
    expect(() => importsOf("packages/x/src/y.ts", "import {")).toThrow("packages/x/src/y.ts: ");
  });
});

describe("findViolations", () => {
  let root: string;
  const write = (path: string, content: string | object): void => {
    mkdirSync(dirname(join(root, path)), { recursive: true });
    writeFileSync(join(root, path), typeof content === "string" ? content : JSON.stringify(content));
  };
  const writePackage = (folder: string, layer: string, dependencies: Record<string, string> = {}): void => {
    const exports = {
      ".": { default: "./dist/index.js" },
      "./patterns/*": "./dist/patterns/*.js",
      "./secret/*": null,
    };
    const manifest = {
      name: `@x/${folder.split("/")[1]}`,
      exports,
      dependencies,
      nx: { tags: [`layer:${layer}`] },
    };
    write(`${folder}/package.json`, manifest);
  };

  beforeEach(() => {
    root = mkdtempSync(join(tmpdir(), "boundaries-"));
    write("package.json", { name: "root", devDependencies: { vitest: "1" } });
    writePackage("packages/low", "0");
    writePackage("packages/peer", "1", { "@x/low": "1" });
    writePackage("packages/high", "1", { "@x/low": "1", "@x/peer": "1", "@x/suite": "1", "@x/shop": "1" });
    writePackage("packages/suite", "dev", { "@x/high": "1" });
    writePackage("apps/shop", "app", { "@x/high": "1", "@x/low": "1" });
  });
  afterEach(() => rmSync(root, { recursive: true }));

  it("reads names without what they tell a bundler", () => {
    write(
      "packages/peer/src/a.ts",
      `import "@x/low?worker&url"; import "@x/low/patterns/a?url"; import "@x/low/b?url";`,
    );
    expect(findViolations(root)).toEqual([
      'packages/peer/src/a.ts: "@x/low/b?url" is not in the exports of that package',
    ]);
  });

  it("lets an application use tools/ by path, and no package", () => {
    write("tools/gpu.ts", "");
    write("apps/shop/src/a.ts", `import "../../../tools/gpu.ts"; import "../../../packages/low/src/a.ts";`);
    write("packages/low/src/b.ts", `import "../../../tools/gpu.ts";`);
    expect(findViolations(root)).toEqual([
      'apps/shop/src/a.ts: "../../../packages/low/src/a.ts" leaves apps/shop',
      'packages/low/src/b.ts: "../../../tools/gpu.ts" leaves packages/low',
    ]);
  });

  it("accepts lower layers, wildcard exports, builtins, itself, and tests that use the dev layer and the root", () => {
    write(
      "packages/high/src/a.ts",
      `import "@x/low"; import "@x/low/patterns/p"; import "node:fs"; import "./b.ts";`,
    );
    write("packages/high/src/b.ts", `import "@x/high";`);
    write("packages/low/src/a.test.ts", `import "vitest"; import "@x/suite";`);
    write("packages/suite/src/a.ts", `import "@x/high";`);
    write("apps/shop/src/a.ts", `import "@x/high"; import "@x/low";`);
    write("tools/ci/a.ts", `import "@x/high"; import "vitest"; import "../ci/b.ts";`);
    write("packages/high/dist/a.js", `import "@x/undeclared";`);
    expect(findViolations(root)).toEqual([]);
  });

  it.each([
    [
      "packages/low/src/a.ts",
      "@x/high",
      [`is of layer 1, which layer 0 may not import`, `is not declared in packages/low/package.json`],
    ],
    ["packages/high/src/a.ts", "@x/peer", [`is of layer 1, which layer 1 may not import`]],
    ["packages/high/src/a.test.ts", "@x/peer", [`is of layer 1, which layer 1 may not import`]],
    ["packages/high/src/a.ts", "@x/suite", [`is of the dev layer: only tests may import it`]],
    ["packages/high/src/a.ts", "@x/shop", [`is an application: nothing may import it`]],
    ["packages/suite/src/a.ts", "@x/low", [`is not declared in packages/suite/package.json`]],
    ["packages/high/src/a.ts", "vitest", [`is not declared in packages/high/package.json`]],
    ["packages/high/src/a.test.ts", "react", [`is not declared in packages/high/package.json`]],
    ["packages/high/src/a.ts", "@x/low/src/inner", [`is not in the exports of that package`]],
    ["packages/high/src/a.ts", "@x/low/secret/key", [`is not in the exports of that package`]],
    ["packages/high/src/a.ts", "../../low/src/a.ts", [`leaves packages/high`]],
    ["packages/high/src/a.test.ts", "../../../tools/ci/a.ts", [`leaves packages/high`]],
    ["tools/ci/a.ts", "../../packages/low/src/a.ts", [`leaves tools`]],
    ["tools/ci/a.ts", "react", [`is not declared in package.json`]],
  ])("refuses %s importing %s", (file, specifier, reasons) => {
    write(file, `import ${JSON.stringify(specifier)};`);
    expect(findViolations(root)).toEqual(reasons.map((reason) => `${file}: "${specifier}" ${reason}`));
  });
});
