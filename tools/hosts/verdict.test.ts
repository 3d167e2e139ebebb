import { describe, expect, it } from "vitest";
import { fault, readOutcome } from "./verdict.ts";

const plain = { description: "WebAssembly SIMD, 1 thread, tile 4x8", values: [1, 2] };
const relaxed = { description: "WebAssembly relaxed SIMD, 1 thread, tile 4x8", values: [1, 2.5] };
const faultOf = (description: string, values: number[], says = "2 threads"): string | undefined =>
  fault({ description, values }, { plain, relaxed }, says);

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
    expect(faultOf(one, [1, 2], "1 thread")).toBe(`must say 1 thread, got ${one}`);
    expect(faultOf(one, [1, 2], "1 thread (no)")).toBeUndefined();
  });
});

describe("readOutcome", () => {
  it("reads what the program gives, and shows anything else", () => {
    expect(readOutcome(JSON.stringify(plain))).toEqual(plain);
    for (const text of ['{"error":"Error: no"}', "no", '{"description":"","values":[]}'])
      expect(() => readOutcome(text)).toThrow(`must give a description and values, got ${text}`);
  });
});
