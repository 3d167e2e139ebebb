/** Unpacks parts of the npm package `@sparticuz/chromium` once, into node_modules/.cache. Linux x64 only. */
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { brotliDecompressSync } from "node:zlib";

/** The package's folder; its entry is build/index.js. */
const source = dirname(dirname(createRequire(import.meta.url).resolve("@sparticuz/chromium")));

const defaultCache = join(source, "../../.cache/heddle");

/** Where one part lies once it is unpacked; the folder's name carries the package's version. */
export function cacheFolder(part: string, cache: string = defaultCache): string {
  const { version } = JSON.parse(readFileSync(join(source, "package.json"), "utf8")) as { version: string };
  return join(cache, `${part}-${version}`);
}

/** The plain files of a tar archive in the ustar format, by path. */
function* filesOf(tar: Buffer): Generator<readonly [path: string, content: Buffer]> {
  const text = (from: number, length: number): string =>
    tar.toString("utf8", from, from + length).replace(/\0.*$/s, "");
  for (let at = 0; at + 512 <= tar.length && tar[at] !== 0;) {
    const size = parseInt(text(at + 124, 12), 8);
    const kind = text(at + 156, 1);
    if (kind === "0" || kind === "") yield [text(at, 100), tar.subarray(at + 512, at + 512 + size)];
    at += 512 + Math.ceil(size / 512) * 512;
  }
}

/**
 * Unpacks archives of the package into one folder, whole or not at all; several processes may do so at once.
 *
 * @param archives Names in the package's `bin`: `*.tar.br` for many files, `*.br` for one.
 * @param cache Folder to unpack into. @default node_modules/.cache/heddle
 * @returns The folder of the part.
 * @throws Error where the package does not run.
 */
export function unpack(part: string, archives: readonly string[], cache?: string): string {
  if (process.platform !== "linux" || process.arch !== "x64")
    throw new Error(`@sparticuz/chromium must run on linux x64, got ${process.platform} ${process.arch}`);
  const folder = cacheFolder(part, cache);
  if (existsSync(folder)) return folder;
  const own = `${folder}.${process.pid}`;
  for (const archive of archives) {
    const content = brotliDecompressSync(readFileSync(join(source, "bin", archive)));
    const files = archive.endsWith(".tar.br")
      ? filesOf(content)
      : [[archive.replace(/\.br$/, ""), content] as const];
    for (const [path, bytes] of files) {
      const target = join(own, path);
      mkdirSync(dirname(target), { recursive: true });
      writeFileSync(target, bytes, { mode: 0o755 });
    }
  }
  try {
    renameSync(own, folder);
  } catch (error) {
    // Another process was first: its folder is whole, since it appeared by one rename too.
    rmSync(own, { recursive: true, force: true });
    if (!existsSync(folder)) throw error;
  }
  return folder;
}
