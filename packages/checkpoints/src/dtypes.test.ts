import { readFileSync } from "node:fs";
import { widenBF16, widenF16 } from "@heddle/core";
import { describe, expect, it } from "vitest";
import { fromBytes, openSafetensors } from "./index.ts";
import { narrow } from "./dtypes.ts";

const all = Uint16Array.from({ length: 65_536 }, (_, bits) => bits);
const notNaN = (bits: number, infinity: number): boolean => (bits & 0x7fff) <= infinity;

describe("half precision", () => {
  it("widens by the IEEE rule", () => {
    const words = [0x0000, 0x8000, 0x0001, 0x03ff, 0x0400, 0x3c00, 0xc000, 0x7bff, 0x7c00, 0xfc00];
    const expected = [0, -0, 2 ** -24, 1023 * 2 ** -24, 2 ** -14, 1, -2, 65504, Infinity, -Infinity];
    expect([...widenF16(Uint16Array.from(words))]).toEqual(expected);
    expect(widenF16(Uint16Array.of(0x7e01))[0]).toBeNaN();
  });

  it("narrows every widened number back to its own bits, and NaN to NaN", () => {
    const halves = narrow("test", "F16", widenF16(all));
    const brains = narrow("test", "BF16", widenBF16(all));
    const wrong = [...all].filter((bits) => {
      const half = notNaN(bits, 0x7c00)
        ? halves[bits] === bits
        : Number.isNaN(widenF16(halves.subarray(bits, bits + 1))[0]);
      const brain = notNaN(bits, 0x7f80)
        ? brains[bits] === bits
        : Number.isNaN(widenBF16(brains.subarray(bits, bits + 1))[0]);
      return !half || !brain;
    });
    expect(wrong).toEqual([]);
  });

  it("rounds as PyTorch does, and refuses what PyTorch makes infinite", async () => {
    const file = await openSafetensors(
      fromBytes(readFileSync(new URL("goldens/narrowing.safetensors", import.meta.url))),
    );
    const source = (await file.read("f32", { as: "f32" })).values;
    expect(source.length).toBeGreaterThan(1100);
    for (const [dtype, name, infinity] of [
      ["F16", "f16", 0x7c00],
      ["BF16", "bf16", 0x7f80],
    ] as const) {
      const expected = (await file.read(name)).values;
      let refused = 0;
      source.forEach((value, index) => {
        const one = Float32Array.of(value);
        if (Number.isFinite(value) && (Number(expected[index]) & 0x7fff) === infinity) {
          refused++;
          expect(() => narrow("w", dtype, one)).toThrow(`w must fit ${dtype}, got ${value} at index 0`);
        } else expect([value, narrow("w", dtype, one)[0]]).toEqual([value, expected[index]]);
      });
      if (dtype === "F16") expect(refused).toBeGreaterThan(50);
    }
  });
});
