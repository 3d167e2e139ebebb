/** What cases compute on. */
import { randomStream } from "@heddle/core";

/** Bytes that the data sets of a case take together at least: three times a large last cache. */
const BEYOND_CACHES = 96 * 2 ** 20;
/** Small data sets would take too many: what is left of them in the caches is in those of all contenders. */
const MOST_SETS = 16;

/** How many data sets of so many bytes it takes that no run finds its own in the caches. */
export function setsBeyondCaches(bytes: number): number {
  return Math.min(MOST_SETS, Math.ceil(BEYOND_CACHES / bytes));
}

/** Values of mean 0 and the given deviation, the same for the same seed and path. */
export function values(
  count: number,
  { seed, path, deviation = 1 }: { seed: number; path: string; deviation?: number },
): Float32Array<ArrayBuffer> {
  const scale = deviation * Math.sqrt(12);
  return randomStream({ seed, path })
    .uniforms(count)
    .map((uniform) => (uniform - 0.5) * scale);
}

/** Integers below `bound`, spread over them. */
export const integers = (count: number, bound: number): Int32Array =>
  Int32Array.from({ length: count }, (_, i) => (i * 7919) % bound);
