/** Memory that threads share. */

/** Why memory cannot be shared with workers here; undefined where it can. */
export function sharingRefused(): string | undefined {
  const { crossOriginIsolated } = globalThis as { crossOriginIsolated?: boolean };
  if (crossOriginIsolated === false) return "the page is not cross-origin isolated";
  if (typeof SharedArrayBuffer === "undefined") return "the engine has no SharedArrayBuffer";
  return undefined;
}

/** Sections and kinds of import of https://webassembly.github.io/spec/core/binary/modules.html. */
const SECTIONS = { import: 2, memory: 5 } as const;
const KINDS = { function: 0, table: 1, memory: 2, global: 3 } as const;
/** Flags of limits. */
const LIMITS = { minimum: 0, maximum: 1, shared: 3 } as const;

/** Reads a module from the byte at `at` on. */
class Reader {
  readonly bytes: Uint8Array;
  at: number;

  constructor(bytes: Uint8Array, at: number) {
    this.bytes = bytes;
    this.at = at;
  }

  byte(): number {
    return this.bytes[this.at++]!;
  }

  /** A number in unsigned LEB128. */
  number(): number {
    let value = 0;
    for (let factor = 1; ; factor *= 2 ** 7) {
      const byte = this.byte();
      value += (byte & 0x7f) * factor;
      if (!(byte >= 0x80)) return value;
    }
  }

  skipName(): void {
    const length = this.number();
    this.at += length;
  }

  /** Where the flags of limits are, which are passed. */
  limits(): number {
    const { at } = this;
    const flags = this.byte();
    this.number();
    if (flags !== LIMITS.minimum) this.number();
    return at;
  }
}

/** Where the limits of a module's memory are, its own or an imported one. */
function memoryLimits(bytes: Uint8Array): number | undefined {
  for (let next = 8; next < bytes.length;) {
    const section = new Reader(bytes, next);
    const id = section.byte();
    const size = section.number();
    next = section.at + size;
    if (id !== SECTIONS.import && id !== SECTIONS.memory) continue;
    const count = section.number();
    if (id === SECTIONS.memory) return count === 1 ? section.limits() : undefined;
    for (let i = 0; i < count; i++) {
      section.skipName();
      section.skipName();
      const kind = section.byte();
      if (kind === KINDS.memory) return section.limits();
      if (kind === KINDS.function) section.number();
      else if (kind === KINDS.table) {
        section.byte();
        section.limits();
      } else if (kind === KINDS.global) section.at += 2;
      else return undefined;
    }
  }
  return undefined;
}

/**
 * The same module with a shared memory: one bit of its limits, which must have a maximum.
 * @throws Error For a module in which that bit is not where it must be.
 */
export function withSharedMemory(bytes: Uint8Array<ArrayBuffer>): Uint8Array<ArrayBuffer> {
  const at = memoryLimits(bytes);
  if (at === undefined || bytes[at] !== LIMITS.maximum)
    throw new Error("the module has no memory with a maximum, which could be shared");
  const shared = bytes.slice();
  shared[at] = LIMITS.shared;
  return shared;
}
