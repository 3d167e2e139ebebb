import { describe, expect, it } from "vitest";
import { fault, readOutcome } from "./verdict.ts";

const plain = { description: "WebAssembly SIMD, 1 thread, tile 4x8", values: [1, 2] };
const relaxed = { description: "WebAssembly relaxed SIMD, 1 thread, tile 4x8", values: [1, 2.5] };
const faultOf = (description: string, values: number[], says = "2 threads", within = 0): string | undefined =>
  fault({ description, values }, { plain, relaxed }, { says, within });

describe("fault", () => {
  it("is nothing for the same bits, by the instructions that the host has", () => {
    expect(faultOf("WebAssembly SIMD, 2 threads, tile 6x8", [1, 2])).toBeUndefined();
    expect(faultOf("WebAssembly relaxed SIMD, 2 threads, tile 6x8", [1, 2.5])).toBeUndefined();
  });

  it("sees other values, fewer of them, and another number of threads", () => {
    expect(faultOf("WebAssembly relaxed SIMD, 2 threads, tile 6x8", [1, 2])).toBe(
      "value 1 must be 2.5, got 2",
    );
    expect(faultOf("WebAssembly SIMD, 2 threads, tile 6x8", [1])).toBe("must give 2 values, got 1");
    const one = "WebAssembly SIMD, 1 thread (no), tile 6x8";
    expect(faultOf(one, [1, 2])).toBe(`must say 2 threads, got ${one}`);
    expect(faultOf(one, [1, 2], "1 thread, tile")).toBe(`must say 1 thread, tile, got ${one}`);
    expect(faultOf(one, [1, 2], "1 thread (no), tile")).toBeUndefined();
  });

  it("sees values that are too far, where the same bits are not asked, and no numbers", () => {
    const gpu = "webgpu: google swiftshader; subgroups";
    expect(faultOf(gpu, [1, 2.0009], "webgpu", 1e-3)).toBeUndefined();
    expect(faultOf(gpu, [1, 2.0011], "webgpu", 1e-3)).toBe("value 1 must be 2, got 2.0011");
    expect(faultOf(gpu, [NaN, 2], "webgpu", 1e-3)).toBe("value 0 must be 1, got NaN");
  });
});

describe("readOutcome", () => {
  it("reads what the program gives, and shows anything else", () => {
    expect(readOutcome(JSON.stringify(plain))).toEqual(plain);
    for (const text of [
      '{"error":"Error: no"}',
      "no",
      '{"description":"","values":[]}',
      '{"description":"","values":[null]}',
    ])
      expect(() => readOutcome(text)).toThrow(`must give a description and values, got ${text}`);
  });
});
