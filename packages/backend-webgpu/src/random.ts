/** The numbers of core's random streams in WGSL, bit for bit, and what dropout makes of them. */
import { randomStream } from "@heddle/core";
import type { RandomAddress } from "@heddle/core";

const round = (turn: number): string =>
  `x.x += x.y; x.y = ((x.y << ${turn}u) | (x.y >> ${32 - turn}u)) ^ x.x;`;
const [even, odd] = [
  [13, 15, 26, 6],
  [17, 29, 16, 24],
].map((turns) => turns.map(round).join("\n  ")) as [string, string];
const inject = (first: string, second: string, count: number): string =>
  `x += vec2u(${first}, ${second} + ${count}u);`;

/**
 * Threefry-2x32 with 20 rounds. Integers of 64 bits are `vec2u(low, high)`.
 *
 * - `threefry(key, counter)`: words 2 counter and 2 counter + 1 of a stream.
 * - `random_word(key, number)`: word `number` of it.
 * - `random_number(row, width, column)`: row width + column, of 64 bits.
 */
export const randomWgsl: string = `
fn threefry(key: vec2u, counter: vec2u) -> vec2u {
  let third = key.x ^ key.y ^ 0x1bd11bdau;
  var x = counter + key;
  ${even}
  ${inject("key.y", "third", 1)}
  ${odd}
  ${inject("third", "key.x", 2)}
  ${even}
  ${inject("key.x", "key.y", 3)}
  ${odd}
  ${inject("key.y", "third", 4)}
  ${even}
  ${inject("third", "key.x", 5)}
  return x;
}

fn random_word(key: vec2u, number: vec2u) -> u32 {
  let words = threefry(key, vec2u((number.x >> 1u) | (number.y << 31u), number.y >> 1u));
  return select(words.x, words.y, (number.x & 1u) == 1u);
}

fn random_number(row: u32, width: u32, column: u32) -> vec2u {
  let a = vec2u(row & 0xffffu, row >> 16u);
  let b = vec2u(width & 0xffffu, width >> 16u);
  let low = a.x * b.x;
  let middle = a.y * b.x + (low >> 16u);
  let other = a.x * b.y + (middle & 0xffffu);
  let product = row * width;
  let number = product + column;
  return vec2u(number, a.y * b.y + (middle >> 16u) + (other >> 16u) + select(0u, 1u, number < product));
}`;

/** Uniforms of a program that drops values. */
export const dropoutUniforms = {
  dropoutKey0: "u32",
  dropoutKey1: "u32",
  dropoutLimit: "u32",
  dropoutKept: "f32",
} as const;

/** In WGSL, the stream's key in those uniforms. */
export const dropoutKey = "vec2u(uniforms.dropoutKey0, uniforms.dropoutKey1)";

/** `randomWgsl`, and `dropout_factor(word)`: 0 for a share of the words, for the others what makes up for it. */
export const dropoutWgsl: string = `${randomWgsl}

fn dropout_factor(word: u32) -> f32 {
  return select(0.0, uniforms.dropoutKept, word >= uniforms.dropoutLimit);
}`;

/** What those uniforms hold for a rate and the address of the numbers. */
export function dropoutValues(
  rate: number,
  address: RandomAddress,
): Record<keyof typeof dropoutUniforms, number> {
  const [dropoutKey0, dropoutKey1] = randomStream(address).key;
  // A number is the upper 24 bits of a word over 2^24, so the comparison is one of integers, whatever the lower bits.
  const dropoutLimit = Math.ceil(rate * 2 ** 24) * 2 ** 8;
  return { dropoutKey0, dropoutKey1, dropoutLimit, dropoutKept: 1 / (1 - rate) };
}
