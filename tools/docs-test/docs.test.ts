// Runs every block marked `ts run` of README.md, packages/*/README.md and docs/ from source, and type-checks them all.
import { execFile } from "node:child_process";
import { globSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { readDocumentation } from "./examples.ts";

const run = promisify(execFile);
const root = resolve(import.meta.dirname, "../..");
const documents = globSync(["README.md", "packages/*/README.md", "docs/**/*.md"], { cwd: root }).toSorted();
const examples = documents.flatMap((document) =>
  readDocumentation(readFileSync(join(root, document), "utf8")).examples.map((example, index) => ({
    ...example,
    document,
    file: `${document.replaceAll(/\W+/g, "-")}-${index}.ts`,
  })),
);

describe("documentation", () => {
  let folder: string;

  beforeAll(() => {
    // Inside the repository, so that the packages resolve as they do for a user.
    mkdirSync(join(root, "out"), { recursive: true });
    folder = mkdtempSync(join(root, "out/docs-test-"));
    for (const { file, code } of examples) writeFileSync(join(folder, file), `${code}export {};\n`);
  });
  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  it.skipIf(examples.length === 0)("type-checks", { timeout: 120_000 }, async () => {
    const compilerOptions = { noEmit: true, composite: false, isolatedDeclarations: false, types: ["node"] };
    const config = { extends: "../../tsconfig.base.json", compilerOptions, include: ["*.ts"] };
    writeFileSync(join(folder, "tsconfig.json"), JSON.stringify(config));
    const tsc = join(root, "node_modules/typescript/bin/tsc");
    const { stdout } = await run(process.execPath, [tsc, "-p", folder]).catch(
      (error: { stdout: string }) => error,
    );
    expect(stdout).toBe("");
  });

  it.each(examples)("$document:$line $heading", { timeout: 120_000 }, async ({ file }) => {
    await run(process.execPath, ["-C", "@heddle/source", join(folder, file)], { cwd: folder });
  });

  it("leaves no TypeScript block of the README out", () => {
    const readme = documents.includes("README.md") ? readFileSync(join(root, "README.md"), "utf8") : "";
    expect(readDocumentation(readme).unmarked).toEqual([]);
  });
});
