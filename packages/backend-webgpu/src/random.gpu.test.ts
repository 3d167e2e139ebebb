import { useBackend } from "@heddle/conformance";
import { randomStream } from "@heddle/core";
import { describe, expect, it } from "vitest";
import { program } from "./program.ts";
import { output, run } from "./run.ts";
import { dropoutKey, dropoutUniforms, dropoutValues, dropoutWgsl, randomWgsl } from "./random.ts";

const COUNT = 128;

/** Words `first` and on, and what dropout makes of them. */
const drawProgram = program({
  name: "draw",
  reads: {},
  writes: { words: "u32", factors: "f32" },
  uniforms: { low: "u32", high: "u32", ...dropoutUniforms },
  code: `${dropoutWgsl}
@compute @workgroup_size(${COUNT})
fn main(@builtin(local_invocation_index) lane: u32) {
  let low = uniforms.low + lane;
  let word = random_word(${dropoutKey}, vec2u(low, uniforms.high + select(0u, 1u, low < lane)));
  words[lane] = word;
  factors[lane] = dropout_factor(word);
}`,
});

const numberProgram = program({
  name: "number",
  reads: {},
  writes: { y: "u32" },
  uniforms: { row: "u32", width: "u32", column: "u32" },
  code: `${randomWgsl}
@compute @workgroup_size(1)
fn main() {
  let number = random_number(uniforms.row, uniforms.width, uniforms.column);
  y[0] = number.x;
  y[1] = number.y;
}`,
});

describe("random streams in WGSL", () => {
  useBackend("webgpu");

  it.each([0, 1, 2 ** 31 - 60, 2 ** 32 - 61, 2 ** 33 - 64, 2 ** 33 - 63, 2 ** 45 + 7, 2 ** 53 - 200])(
    "are core's, bit for bit, and so is what dropout makes of them: from number %i",
    async (first) => {
      const address = { seed: 2 ** 40 + 3, path: "h.3.attn", step: 11 };
      const stream = randomStream(address);
      const rate = 0.3;
      const [words, factors] = [output([COUNT], "int32"), output([COUNT])];
      run(drawProgram, {
        buffers: { words, factors },
        uniforms: {
          low: first % 2 ** 32,
          high: Math.floor(first / 2 ** 32),
          ...dropoutValues(rate, address),
        },
        groups: [1],
      });
      const numbers = Array.from({ length: COUNT }, (_, i) => first + i);
      expect([...(await words.data())].map((word) => word >>> 0)).toEqual(numbers.map(stream.word));
      expect([...(await factors.data())]).toEqual(
        numbers.map((number) => (stream.uniform(number) < rate ? 0 : Math.fround(1 / (1 - rate)))),
      );
      words.dispose();
      factors.dispose();
    },
  );

  it.each([
    [0, 0, 5],
    [3, 7, 2],
    [65_537, 65_535, 1],
    [2 ** 20 + 5, 2 ** 13 + 1, 2 ** 12],
    [2 ** 32 - 1, 2 ** 32 - 1, 2 ** 32 - 1],
    [0xffff, 0x1_0001, 2 ** 32 - 1],
    [0x8000_ffff, 0xffff_8001, 0x1234_5678],
  ])("are addressed by numbers of 64 bits: row %i of %i, column %i", async (row, width, column) => {
    const y = output([2], "int32");
    run(numberProgram, { buffers: { y }, uniforms: { row, width, column }, groups: [1] });
    const [low, high] = [...(await y.data())].map((half) => BigInt(half >>> 0));
    expect((high! << 32n) + low!).toBe(BigInt(row) * BigInt(width) + BigInt(column));
    y.dispose();
  });
});
