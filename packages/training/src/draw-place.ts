import type { RandomStream } from "@heddle/core";

/** Draw `index` as an integer in [0, bound), from 53 bits: a text may be longer than the stream's own 2^24. */
export function drawPlace(stream: RandomStream, index: number, bound: number): number {
  const bits = stream.word(2 * index) * 2 ** 21 + (stream.word(2 * index + 1) >>> 11);
  return Math.floor((bits / 2 ** 53) * bound);
}
