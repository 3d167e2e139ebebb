import { HeddleError } from "@heddle/core";
import {
  filePath,
  ioError,
  nodeFiles,
  syncDirectory,
  systemCode,
  type NodeFile,
  type NodeFiles,
} from "./node-files.ts";

/** Where bytes are written, in order. Ends with `commit()` or `discard()`, once. */
export interface ByteSink {
  /** Names the target in errors. */
  readonly name: string;
  write(bytes: Uint8Array): Promise<void>;
  /** Makes what was written the target's content. */
  commit(): Promise<void>;
  /** Leaves the target as it was. Never throws. */
  discard(): Promise<void>;
}

/** A sink that collects a Blob; `onCommit` receives it. */
export function toBlob(name: string, onCommit: (blob: Blob) => void): ByteSink {
  let parts: BlobPart[] = [];
  return {
    name,
    async write(bytes) {
      // A Blob holds its own copy, which a page may keep out of memory.
      parts.push(new Blob([bytes as Uint8Array<ArrayBuffer>]));
    },
    async commit() {
      onCommit(new Blob(parts));
      parts = [];
    },
    async discard() {
      parts = [];
    },
  };
}

/** A new file written in place and synced to the disk at `commit`; it must not exist. */
export async function newFile(files: NodeFiles, path: string): Promise<ByteSink> {
  let handle: NodeFile | undefined;
  try {
    handle = await files.open(path, "wx");
  } catch (cause) {
    throw ioError("creating", path, cause);
  }
  const opened = handle;
  async function close(): Promise<void> {
    const closing = handle;
    handle = undefined;
    await closing?.close();
  }
  return {
    name: path,
    async write(bytes) {
      try {
        for (let done = 0; done < bytes.length;) {
          const { bytesWritten } = await opened.write(bytes, done, Math.min(bytes.length - done, 2 ** 30));
          if (bytesWritten === 0)
            throw new HeddleError("io", `${path}: the disk must take every byte, got 0 taken`);
          done += bytesWritten;
        }
      } catch (cause) {
        throw ioError("writing", path, cause);
      }
    },
    async commit() {
      try {
        await opened.sync();
        await close();
      } catch (cause) {
        throw ioError("writing", path, cause);
      }
    },
    async discard() {
      await close().catch(() => undefined);
      await files.rm(path, { force: true, recursive: false }).catch(() => undefined);
    },
  };
}

/**
 * A file in Node, replaced as a whole: the bytes go to a temporary file beside it, which is synced and renamed at
 * `commit`. Until then, and after any failure, the old file is whole; the temporary file is removed.
 *
 * @throws HeddleError `invalid-argument` for a folder or a device, `io` when the file cannot be written.
 */
export async function toFile(path: string | URL): Promise<ByteSink> {
  const target = filePath("toFile: path", path);
  const files = nodeFiles("toFile");
  const present = await files.stat(target).catch((cause: unknown) => {
    if (systemCode(cause) === "ENOENT") return undefined;
    throw ioError("looking at", target, cause);
  });
  if (present && !present.isFile())
    throw new HeddleError(
      "invalid-argument",
      `toFile: path must name a file, got ${target}, a folder or a device`,
    );
  const temporary = `${target}.${crypto.randomUUID()}.tmp`;
  const sink = await newFile(files, temporary);
  return {
    name: target,
    write: sink.write,
    async commit() {
      await sink.commit();
      try {
        await files.rename(temporary, target);
        await syncDirectory(files, target.replace(/[^/\\]*$/, "") || ".");
      } catch (cause) {
        throw ioError("replacing", target, cause);
      }
    },
    discard: sink.discard,
  };
}
