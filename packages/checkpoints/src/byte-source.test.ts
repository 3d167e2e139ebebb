import { execFileSync } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { fromBlob, fromBytes, fromFile, type ByteSource } from "./index.ts";

const content = Uint8Array.from({ length: 1000 }, (_, index) => index % 251);
let directory: string;
beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), "heddle-source-"));
  await writeFile(join(directory, "a.bin"), content);
});
afterAll(() => rm(directory, { recursive: true }));

describe.each<[string, () => Promise<ByteSource>]>([
  ["fromBytes", async () => fromBytes(content)],
  ["fromBlob", async () => fromBlob(new Blob([content]))],
  ["fromFile", () => fromFile(join(directory, "a.bin"))],
  ["fromFile of a URL", () => fromFile(pathToFileURL(join(directory, "a.bin")))],
])("%s", (_, open) => {
  it("gives its size and copies of its bytes, within bounds, until it is closed", async () => {
    const source = await open();
    expect(source.size).toBe(1000);
    const part = await source.read(10, 14);
    expect(part).toEqual(Uint8Array.of(10, 11, 12, 13));
    part.fill(0);
    expect(await source.read(10, 12)).toEqual(Uint8Array.of(10, 11));
    expect(await source.read(1000, 1000)).toEqual(new Uint8Array(0));
    await expect(source.read(0, 1001)).rejects.toThrow("must end within its 1000 bytes, got [0,1001]");
    await expect(source.read(-1, 3)).rejects.toThrow("must be a range of bytes, got [-1,3]");
    await expect(source.read(3, 2)).rejects.toMatchObject({ code: "invalid-argument" });
    await source.close();
    await source.close();
    await expect(source.read(0, 1)).rejects.toMatchObject({ code: "invalid-state" });
  });
});

describe("fromFile", () => {
  it("names the path and the cause of what it cannot open", async () => {
    const missing = join(directory, "none");
    await expect(fromFile(missing)).rejects.toMatchObject({ code: "io", cause: { code: "ENOENT" } });
    await expect(fromFile(missing)).rejects.toThrow(`${missing}: opening must succeed, got ENOENT`);
    await expect(fromFile(directory)).rejects.toThrow("must be a regular file");
    await expect(fromFile("")).rejects.toThrow('fromFile: path must be a path or a file: URL, got ""');
    await expect(fromFile(new URL("https://a.b/c"))).rejects.toMatchObject({ code: "invalid-argument" });
  });

  it.skipIf(process.platform === "win32")(
    "refuses a named pipe instead of waiting for a writer",
    async () => {
      const pipe = join(directory, "pipe");
      execFileSync("sh", ["-c", 'mkfifo "$0"', pipe]);
      await expect(fromFile(pipe)).rejects.toThrow(`${pipe} must be a regular file`);
    },
  );

  it("says when the file shrinks while it is open", async () => {
    const path = join(directory, "shrinks");
    await writeFile(path, content);
    const source = await fromFile(path);
    await writeFile(path, content.subarray(0, 500));
    await expect(source.read(0, 1000)).rejects.toThrow("must keep its 1000 bytes while it is read, got 500");
    await source.close();
  });
});
