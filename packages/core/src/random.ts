import { checkInteger } from "./errors.ts";

/**
 * A counter-based stream of random numbers: word i depends on the address (seed, path, step) and on i alone, so
 * any part of it can be made again, in any order, by any backend, and no state is kept.
 *
 * Threefry-2x32 with 20 rounds: Salmon et al., "Parallel random numbers: as easy as 1, 2, 3" (SC 2011).
 */
export interface RandomStream {
  /** The stream's key: two 32-bit words, for kernels that make the same numbers. */
  readonly key: readonly [number, number];
  /** Word `index` as an unsigned 32-bit integer. */
  word(index: number): number;
  /** Number `index`, uniform in [0, 1) with 24 bits. */
  uniform(index: number): number;
  /** Numbers `offset` to `offset + count - 1`, uniform in [0, 1). */
  uniforms(count: number, offset?: number): Float32Array<ArrayBuffer>;
  /** `count` standard normal numbers (Box-Muller over pairs of uniform ones). */
  normals(count: number): Float32Array<ArrayBuffer>;
  /** Draw `index` as an integer in [0, bound), without bias worth noting for bounds below 2^24. */
  integer(index: number, bound: number): number;
}

/** What a `RandomStream` is addressed by. */
export interface RandomAddress {
  /** Non-negative integer up to 2^53 - 1. */
  readonly seed: number;
  /** What draws: a weight's path, an operation's name. @default "" */
  readonly path?: string;
  /** Training step, epoch or another count. @default 0 */
  readonly step?: number;
}

const ROTATIONS = [13, 15, 26, 6, 17, 29, 16, 24] as const;
const PARITY = 0x1bd11bda;

/** One block of Threefry-2x32-20 written to `out[at]` and `out[at + 1]`. */
export function threefry(k0: number, k1: number, c0: number, c1: number, out: Uint32Array, at = 0): void {
  const k2 = k0 ^ k1 ^ PARITY;
  let x0 = (c0 + k0) | 0;
  let x1 = (c1 + k1) | 0;
  for (let group = 0; group < 5; group++) {
    const first = (group & 1) * 4;
    for (let round = first; round < first + 4; round++) {
      const turn = ROTATIONS[round]!;
      x0 = (x0 + x1) | 0;
      x1 = ((x1 << turn) | (x1 >>> (32 - turn))) ^ x0;
    }
    const injection = group + 1;
    x0 = (x0 + (injection % 3 === 0 ? k0 : injection % 3 === 1 ? k1 : k2)) | 0;
    x1 = (x1 + (injection % 3 === 0 ? k1 : injection % 3 === 1 ? k2 : k0) + injection) | 0;
  }
  out[at] = x0;
  out[at + 1] = x1;
}

/** 32-bit FNV-1a of a text's UTF-8 bytes. */
function hashText(text: string): number {
  let hash = 0x811c9dc5;
  for (const byte of new TextEncoder().encode(text)) hash = Math.imul(hash ^ byte, 0x01000193);
  return hash >>> 0;
}

/** The stream at an address. The same address gives the same numbers on every machine. */
export function randomStream({ seed, path = "", step = 0 }: RandomAddress): RandomStream {
  checkInteger("randomStream: seed", seed, { min: 0 });
  checkInteger("randomStream: step", step, { min: 0, max: 0xffffffff });
  const block = new Uint32Array(2);
  threefry(seed >>> 0, Math.floor(seed / 2 ** 32) >>> 0, hashText(path), step, block);
  const [k0, k1] = [block[0]!, block[1]!];
  let loaded = -1;

  const word = (index: number): number => {
    const pair = Math.floor(index / 2);
    if (pair !== loaded) {
      threefry(k0, k1, pair >>> 0, Math.floor(pair / 2 ** 32) >>> 0, block);
      loaded = pair;
    }
    return block[index % 2]!;
  };
  const uniform = (index: number): number => (word(index) >>> 8) / 2 ** 24;
  return {
    key: [k0, k1],
    word,
    uniform,
    uniforms(count, offset = 0) {
      const values = new Float32Array(count);
      for (let i = 0; i < count; i++) values[i] = uniform(offset + i);
      return values;
    },
    normals(count) {
      const values = new Float32Array(count);
      for (let i = 0; i < count; i += 2) {
        const radius = Math.sqrt(-2 * Math.log(1 - uniform(i)));
        const angle = 2 * Math.PI * uniform(i + 1);
        values[i] = radius * Math.cos(angle);
        if (i + 1 < count) values[i + 1] = radius * Math.sin(angle);
      }
      return values;
    },
    integer: (index, bound) => Math.floor(uniform(index) * bound),
  };
}
