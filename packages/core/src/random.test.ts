import { describe, expect, it } from "vitest";
import { randomStream, threefry } from "./random.ts";

describe("threefry", () => {
  // Known answers of the authors' Random123 library (kat_vectors, threefry2x32 with 20 rounds).
  it.each([
    [
      [0, 0],
      [0, 0],
      [0x6b200159, 0x99ba4efe],
    ],
    [
      [0xffffffff, 0xffffffff],
      [0xffffffff, 0xffffffff],
      [0x1cb996fc, 0xbb002be7],
    ],
    [
      [0x13198a2e, 0x03707344],
      [0x243f6a88, 0x85a308d3],
      [0xc4923a9c, 0x483df7a0],
    ],
  ])("with key %j and counter %j gives %j", ([k0, k1], [c0, c1], expected) => {
    const out = new Uint32Array(2);
    threefry(k0!, k1!, c0!, c1!, out);
    expect([...out]).toEqual(expected);
  });
});

describe("randomStream", () => {
  it("gives the same numbers in any order", () => {
    const stream = randomStream({ seed: 7, path: "h.0.attn", step: 3 });
    const forward = Array.from({ length: 9 }, (_, i) => stream.word(i));
    const backward = Array.from({ length: 9 }, (_, i) => stream.word(8 - i)).toReversed();
    expect(backward).toEqual(forward);
    expect([...stream.uniforms(4, 5)]).toEqual([5, 6, 7, 8].map((i) => stream.uniform(i)));
  });

  it("differs by seed, path and step", () => {
    const keys = [
      { seed: 1 },
      { seed: 2 },
      { seed: 1 + 2 ** 32 },
      { seed: 1, path: "a" },
      { seed: 1, path: "b" },
      { seed: 1, step: 1 },
    ].map((address) => randomStream(address).key.join());
    expect(new Set(keys).size).toBe(6);
  });

  it("is uniform and normal to the accuracy of its sample", () => {
    const n = 40_000;
    const uniforms = randomStream({ seed: 3 }).uniforms(n);
    const mean = uniforms.reduce((a, b) => a + b, 0) / n;
    expect(Math.abs(mean - 0.5)).toBeLessThan(0.006);
    expect(Math.min(...uniforms.slice(0, 10_000))).toBeGreaterThanOrEqual(0);
    expect(Math.max(...uniforms.slice(0, 10_000))).toBeLessThan(1);
    const normals = randomStream({ seed: 4 }).normals(n);
    const average = normals.reduce((a, b) => a + b, 0) / n;
    const variance = normals.reduce((a, b) => a + b * b, 0) / n;
    expect(Math.abs(average)).toBeLessThan(0.02);
    expect(Math.abs(variance - 1)).toBeLessThan(0.03);
  });

  it("refuses a seed that is no integer", () => {
    expect(() => randomStream({ seed: 0.5 })).toThrow("randomStream: seed must be an integer >= 0, got 0.5");
  });
});
