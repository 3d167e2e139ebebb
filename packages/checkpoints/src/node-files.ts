import { HeddleError, show } from "@heddle/core";

/** The part of Node's `FileHandle` that checkpoints use. */
export interface NodeFile {
  stat(): Promise<{ readonly size: number; isFile(): boolean }>;
  read(
    into: Uint8Array,
    offset: number,
    length: number,
    position: number,
  ): Promise<{ readonly bytesRead: number }>;
  write(bytes: Uint8Array, offset: number, length: number): Promise<{ readonly bytesWritten: number }>;
  sync(): Promise<void>;
  close(): Promise<void>;
}

/** The part of `node:fs/promises` that checkpoints use. */
export interface NodeFiles {
  open(path: string, flags: string): Promise<NodeFile>;
  mkdir(path: string): Promise<unknown>;
  readdir(path: string): Promise<string[]>;
  rename(from: string, to: string): Promise<void>;
  rm(path: string, options: { force: boolean; recursive: boolean }): Promise<void>;
  stat(path: string): Promise<{
    readonly ino: number;
    readonly size: number;
    readonly mtimeMs: number;
    isFile(): boolean;
  }>;
}

interface NodeProcess {
  getBuiltinModule?(id: "node:fs/promises"): NodeFiles;
  getBuiltinModule?(id: "node:url"): { fileURLToPath(url: URL): string };
  getBuiltinModule?(id: "node:path"): { resolve(path: string): string };
}

declare const process: NodeProcess | undefined;

/** True where files can be opened by path. Asked at run time, so that a page's bundle holds no import of Node. */
export function hasNodeFiles(): boolean {
  return typeof process !== "undefined" && typeof process.getBuiltinModule === "function";
}

function node(where: string): Required<NodeProcess> {
  if (typeof process === "undefined" || typeof process.getBuiltinModule !== "function")
    throw new HeddleError(
      "unsupported",
      `${where} must run in Node, got a runtime without files: give a URL or Blobs`,
    );
  return process as Required<NodeProcess>;
}

/** Node's files, or an error that names the caller. */
export function nodeFiles(where: string): NodeFiles {
  return node(where).getBuiltinModule("node:fs/promises");
}

/** A path that is the same however it was written: `./out`, `out`. */
export function absolutePath(where: string, path: string): string {
  return node(where).getBuiltinModule("node:path").resolve(path);
}

/** A path from a path or a `file:` URL. */
export function filePath(where: string, path: string | URL): string {
  if (typeof path === "string" && path !== "" && !path.includes("\0")) return path;
  if (path instanceof URL && path.protocol === "file:") {
    try {
      return node(where).getBuiltinModule("node:url").fileURLToPath(path);
    } catch (cause) {
      throw new HeddleError("invalid-argument", `${where} must be a path or a file: URL, got ${path.href}`, {
        cause,
      });
    }
  }
  throw new HeddleError("invalid-argument", `${where} must be a path or a file: URL, got ${show(path)}`);
}

/** The `code` of a system error (`ENOENT`, `ENOSPC`…), or undefined. */
export function systemCode(error: unknown): string | undefined {
  return error instanceof Error && "code" in error && typeof error.code === "string" ? error.code : undefined;
}

/** An `io` error that says what was tried on which path, and keeps the cause. */
export function ioError(what: string, path: string, cause: unknown): HeddleError {
  if (cause instanceof HeddleError) return cause;
  const reason = cause instanceof Error ? cause.message : show(cause);
  return new HeddleError("io", `${path}: ${what} must succeed, got ${reason}`, { cause });
}

/** Makes a folder and those above it. Node's own recursion never ends where nothing can be made, in /proc for example. */
export async function makeFolder(files: NodeFiles, path: string): Promise<void> {
  try {
    await files.mkdir(path);
  } catch (error) {
    const code = systemCode(error);
    if (code === "EEXIST") return;
    const above = path.replace(/[/\\]+[^/\\]*[/\\]*$/, "");
    if (code !== "ENOENT" || above === "" || above === path) throw error;
    await makeFolder(files, above);
    await files.mkdir(path);
  }
}

/** Makes a rename or a new entry of a directory durable; where a system cannot sync a directory, nothing. */
export async function syncDirectory(files: NodeFiles, path: string): Promise<void> {
  let handle: NodeFile;
  try {
    handle = await files.open(path, "r");
  } catch (error) {
    if (["EISDIR", "EPERM", "EACCES"].includes(systemCode(error) ?? "")) return;
    throw error;
  }
  try {
    await handle.sync();
  } catch (error) {
    if (!["EISDIR", "EPERM", "EINVAL", "ENOTSUP"].includes(systemCode(error) ?? "")) throw error;
  } finally {
    await handle.close();
  }
}
