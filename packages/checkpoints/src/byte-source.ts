import { HeddleError, reject } from "@heddle/core";
import { filePath, ioError, nodeFiles, type NodeFile } from "./node-files.ts";

/** Bytes that can be read in parts: a file, a URL, a Blob or memory. */
export interface ByteSource {
  /** Names the source in errors. */
  readonly name: string;
  /** Bytes in all. */
  readonly size: number;
  /** Bytes `start` to `end` (exclusive) in a buffer of their own. Outside the source it is an `invalid-data` error. */
  read(start: number, end: number): Promise<Uint8Array<ArrayBuffer>>;
  /** Frees what the source holds; reading afterwards is an error, closing again is not. */
  close(): Promise<void>;
}

/** Checks the bounds of a read, so that a length that lies never reaches an allocation or a disk. */
export function checkRange(name: string, size: number, start: number, end: number): void {
  if (!Number.isSafeInteger(start) || !Number.isSafeInteger(end) || start < 0 || end < start)
    reject(`${name}: a read`, "be a range of bytes", [start, end]);
  if (end > size) reject(`${name}: a read`, `end within its ${size} bytes`, [start, end], "invalid-data");
}

/** A buffer for a read; too large for this runtime is a clear error. */
export function allocate(name: string, length: number): Uint8Array<ArrayBuffer> {
  try {
    return new Uint8Array(length);
  } catch (cause) {
    throw new HeddleError("unsupported", `${name}: a read must fit in memory, got ${length} bytes`, {
      cause,
    });
  }
}

/** What a read after `close()` throws. */
export function closedError(name: string): HeddleError {
  return new HeddleError("invalid-state", `${name} must be open, got a read after close()`);
}

/** A source over bytes in memory; what is read is a copy. */
export function fromBytes(bytes: Uint8Array, name = "bytes"): ByteSource {
  let held: Uint8Array | undefined = bytes;
  return {
    name,
    size: bytes.byteLength,
    async read(start, end) {
      if (!held) throw closedError(name);
      checkRange(name, held.byteLength, start, end);
      const out = allocate(name, end - start);
      out.set(held.subarray(start, end));
      return out;
    },
    async close() {
      held = undefined;
    },
  };
}

/** A source over a Blob or File; only the bytes asked for are brought into memory. */
export function fromBlob(blob: Blob, name = "blob"): ByteSource {
  let held: Blob | undefined = blob;
  return {
    name,
    size: blob.size,
    async read(start, end) {
      if (!held) throw closedError(name);
      checkRange(name, held.size, start, end);
      try {
        return new Uint8Array(await held.slice(start, end).arrayBuffer());
      } catch (cause) {
        throw ioError("reading", name, cause);
      }
    },
    async close() {
      held = undefined;
    },
  };
}

/** Opens a file in Node by path or `file:` URL. The handle stays open until `close()`. */
export async function fromFile(path: string | URL): Promise<ByteSource> {
  const name = filePath("fromFile: path", path);
  const files = nodeFiles("fromFile");
  let handle: NodeFile | undefined;
  let size: number;
  try {
    // Before it is opened: opening a named pipe waits for a writer, without end.
    if (!(await files.stat(name)).isFile()) reject(name, "be a regular file", "another kind", "io");
    const opened = await files.open(name, "r");
    handle = opened;
    size = (await opened.stat()).size;
  } catch (cause) {
    await handle?.close();
    throw ioError("opening", name, cause);
  }
  return {
    name,
    size,
    async read(start, end) {
      if (!handle) throw closedError(name);
      checkRange(name, size, start, end);
      const out = allocate(name, end - start);
      let done = 0;
      while (done < out.length) {
        // Node reads at most 2 GiB at once.
        const length = Math.min(out.length - done, 2 ** 30);
        let bytesRead: number;
        try {
          ({ bytesRead } = await handle.read(out, done, length, start + done));
        } catch (cause) {
          throw ioError("reading", name, cause);
        }
        if (bytesRead === 0) reject(name, `keep its ${size} bytes while it is read`, start + done, "io");
        done += bytesRead;
      }
      return out;
    },
    async close() {
      const closing = handle;
      handle = undefined;
      await closing?.close();
    },
  };
}
