import { execFile } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, describe, expect, it } from "vitest";

const cache = mkdtempSync(join(tmpdir(), "heddle-unpack-"));
afterAll(() => rmSync(cache, { recursive: true }));

describe("unpack", () => {
  it("gives one whole folder when three processes unpack at once", async ({ skip }) => {
    const machine = `${process.platform} ${process.arch}`;
    skip(machine !== "linux x64", `@sparticuz/chromium runs on linux x64, this is ${machine}`);
    const script = `import { unpack } from ${JSON.stringify(join(import.meta.dirname, "unpack.ts"))};
      console.log(unpack("part", ["swiftshader.tar.br"], ${JSON.stringify(cache)}));`;
    const run = () => promisify(execFile)(process.execPath, ["--input-type=module", "-e", script]);
    const folders = (await Promise.all([run(), run(), run()])).map(({ stdout }) => stdout.trim());
    expect(new Set(folders).size).toBe(1);
    expect(readdirSync(cache)).toHaveLength(1);
    const [folder] = folders as [string];
    expect(readdirSync(folder).toSorted()).toEqual([
      "libEGL.so",
      "libGLESv2.so",
      "libvk_swiftshader.so",
      "libvulkan.so.1",
      "vk_swiftshader_icd.json",
    ]);
    for (const library of ["libvk_swiftshader.so", "libvulkan.so.1"])
      expect(readFileSync(join(folder, library)).subarray(1, 4).toString()).toBe("ELF");
    expect(statSync(join(folder, "libvulkan.so.1")).mode & 0o111).not.toBe(0);
    expect(JSON.parse(readFileSync(join(folder, "vk_swiftshader_icd.json"), "utf8"))).toMatchObject({
      ICD: { library_path: "./libvk_swiftshader.so" },
    });
  });
});
