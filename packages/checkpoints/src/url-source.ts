import { HeddleError, checkFields, reject } from "@heddle/core";
import { allocate, checkRange, closedError, type ByteSource } from "./byte-source.ts";
import { ioError } from "./node-files.ts";

export interface UrlOptions {
  /** Aborts the requests; the read then rejects with the signal's reason. */
  readonly signal?: AbortSignal;
  /** @default globalThis.fetch */
  readonly fetch?: typeof fetch;
}

/** The first request asks for this much: it tells whether ranges are served, and most headers fit in it. */
const firstBytes = 65_536;

async function request(
  name: string,
  { signal, fetch: get = globalThis.fetch }: UrlOptions,
  range?: string,
): Promise<Response> {
  try {
    return await get(name, { signal: signal ?? null, headers: range ? { range: `bytes=${range}` } : {} });
  } catch (cause) {
    if (signal?.aborted) throw signal.reason;
    throw ioError("the request", name, cause);
  }
}

interface Body {
  /** The next part, or undefined at the end. A body that breaks off is an `io` error. */
  next(): Promise<Uint8Array | undefined>;
  cancel(): Promise<void>;
}

function openBody(name: string, response: Response, signal?: AbortSignal): Body {
  const reader = response.body?.getReader();
  return {
    async next() {
      try {
        return (await reader?.read())?.value;
      } catch (cause) {
        if (signal?.aborted) throw signal.reason;
        throw ioError("the body", name, cause);
      }
    },
    async cancel() {
      await reader?.cancel().catch(() => undefined);
    },
  };
}

/** Reads a body of a known length into one buffer; longer or shorter is an `io` error. */
async function readExactly(
  name: string,
  response: Response,
  length: number,
  signal?: AbortSignal,
): Promise<Uint8Array<ArrayBuffer>> {
  const body = openBody(name, response, signal);
  try {
    const out = allocate(name, length);
    let done = 0;
    for (let part = await body.next(); part; part = await body.next()) {
      if (done + part.length > length) reject(`${name}: the body`, `have ${length} bytes`, "more", "io");
      out.set(part, done);
      done += part.length;
    }
    if (done < length) reject(`${name}: the body`, `have ${length} bytes`, done, "io");
    return out;
  } finally {
    await body.cancel();
  }
}

/** What tells two versions of a resource apart. */
function version(response: Response): string {
  return response.headers.get("etag") ?? response.headers.get("last-modified") ?? "";
}

/** The size in `content-range: bytes 0-99/1234`, or undefined where the header is missing or says otherwise. */
function rangeSize(response: Response, start: number): { end: number; size: number } | undefined {
  const match = /^bytes (\d+)-(\d+)\/(\d+)$/.exec(response.headers.get("content-range") ?? "");
  if (!match) return undefined;
  const [from, to, size] = match.slice(1).map(Number) as [number, number, number];
  return from === start && to < size && Number.isSafeInteger(size) ? { end: to + 1, size } : undefined;
}

function rangedSource(
  name: string,
  size: number,
  head: Uint8Array,
  tag: string,
  options: UrlOptions,
): ByteSource {
  let held: Uint8Array | undefined = head;
  return {
    name,
    size,
    async read(start, end) {
      if (!held) throw closedError(name);
      checkRange(name, size, start, end);
      if (end <= held.length) return held.slice(start, end) as Uint8Array<ArrayBuffer>;
      const response = await request(name, options, `${start}-${end - 1}`);
      const range = rangeSize(response, start);
      if (response.status !== 206 || range?.end !== end || range.size !== size || version(response) !== tag) {
        await response.body?.cancel();
        reject(
          `${name}: bytes ${start} to ${end}`,
          "come from the file that was opened",
          response.status,
          "io",
        );
      }
      return readExactly(name, response, end - start, options.signal);
    },
    async close() {
      held = undefined;
    },
  };
}

interface Part {
  readonly start: number;
  readonly bytes: Uint8Array;
}

/**
 * One body, read forwards: bytes skipped are kept until they are asked for, bytes given out are dropped, so that a
 * reader in file order never holds the file. Bytes asked for again start the request again.
 */
async function streamedSource(name: string, first: Response, options: UrlOptions): Promise<ByteSource> {
  const tag = version(first);
  let parts: Part[] = [];
  let position = 0;
  let body = openBody(name, first, options.signal);
  let closed = false;

  async function advance(): Promise<boolean> {
    const bytes = await body.next();
    if (!bytes) return false;
    parts.push({ start: position, bytes });
    position += bytes.length;
    return true;
  }

  const length = first.headers.get("content-encoding") ? null : first.headers.get("content-length");
  let size = Number(length);
  if (length === null || !Number.isSafeInteger(size)) {
    while (await advance());
    size = position;
  }

  function take(start: number, end: number): Uint8Array<ArrayBuffer> | undefined {
    let at = start;
    for (const part of parts)
      if (part.start <= at && at < end) at = Math.max(at, part.start + part.bytes.length);
    if (at < end) return undefined;
    const out = allocate(name, end - start);
    const rest: Part[] = [];
    for (const part of parts) {
      const from = Math.max(start, part.start) - part.start;
      const to = Math.min(end, part.start + part.bytes.length) - part.start;
      if (from >= to) {
        rest.push(part);
        continue;
      }
      out.set(part.bytes.subarray(from, to), part.start + from - start);
      if (from > 0) rest.push({ start: part.start, bytes: part.bytes.subarray(0, from) });
      if (to < part.bytes.length) rest.push({ start: part.start + to, bytes: part.bytes.subarray(to) });
    }
    parts = rest;
    return out;
  }

  async function again(): Promise<void> {
    await body.cancel();
    const response = await request(name, options);
    if (response.status !== 200 || version(response) !== tag) {
      await response.body?.cancel();
      reject(`${name}: a second request`, "give the file that was opened", response.status, "io");
    }
    body = openBody(name, response, options.signal);
    parts = [];
    position = 0;
  }

  async function read(start: number, end: number): Promise<Uint8Array<ArrayBuffer>> {
    if (closed) throw closedError(name);
    for (const attempt of [1, 2]) {
      while (position < end && (await advance()));
      if (position < end) break;
      const bytes = take(start, end);
      if (bytes) return bytes;
      if (attempt === 1) await again();
    }
    throw new HeddleError("io", `${name}: the body must have ${size} bytes, got ${position}`);
  }

  // One body serves one read at a time.
  let queue: Promise<unknown> = Promise.resolve();
  return {
    name,
    size,
    async read(start, end) {
      if (closed) throw closedError(name);
      checkRange(name, size, start, end);
      const mine = queue.then(() => read(start, end));
      queue = mine.catch(() => undefined);
      return mine;
    },
    async close() {
      closed = true;
      parts = [];
      await body.cancel();
    },
  };
}

/** As `fromUrl`, but a URL where nothing is (404, 410) gives undefined. */
export async function openUrl(url: string | URL, options: UrlOptions = {}): Promise<ByteSource | undefined> {
  const name = String(url);
  let response = await request(name, options, `0-${firstBytes - 1}`);
  if (response.status === 206) {
    const range = rangeSize(response, 0);
    if (range && range.end === Math.min(firstBytes, range.size)) {
      const head = await readExactly(name, response, range.end, options.signal);
      return rangedSource(name, range.size, head, version(response), options);
    }
    // A page may not be shown `content-range` (CORS): the size is unknown, so ask for the whole.
    await response.body?.cancel();
    response = await request(name, options);
  } else if (response.status === 416) {
    // An empty file has no first byte.
    await response.body?.cancel();
    response = await request(name, options);
  }
  if (response.status === 200) return streamedSource(name, response, options);
  await response.body?.cancel();
  if (response.status === 404 || response.status === 410) return undefined;
  throw new HeddleError("io", `${name}: the answer must be 200 or 206, got ${response.status}`);
}

/**
 * Opens a URL: by HTTP range requests where the server serves them, so that only the bytes asked for travel; else
 * one streamed body.
 *
 * @throws HeddleError io: the request fails, the answer is not 2xx (the message holds the status), or the file changes
 * while it is read. An abort rejects with the signal's reason.
 */
export async function fromUrl(url: string | URL, options: UrlOptions = {}): Promise<ByteSource> {
  checkFields("fromUrl: options", options, ["signal", "fetch"]);
  const source = await openUrl(url, options);
  return source ?? reject(String(url), "be there", "404 or 410", "io");
}
