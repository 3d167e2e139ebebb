import { describe, expect, it } from "vitest";
import { checkAgreement, differenceOf } from "./agreement.ts";

const of = (...values: readonly number[]): Float32Array => Float32Array.from(values);

describe("differenceOf", () => {
  it("is absolute among small values and a share of great ones", () => {
    expect(differenceOf(of(0.5, 0.25), of(0.5, 0))).toBe(0.25);
    expect(differenceOf(of(8, 1), of(8, 0))).toBe(0.125);
  });

  it("finds no agreement in NaN, infinities or another length", () => {
    expect(differenceOf(of(1, 2), of(1, NaN))).toBe(Infinity);
    expect(differenceOf(of(NaN), of(NaN))).toBe(Infinity);
    expect(differenceOf(of(1), of(Infinity))).toBe(Infinity);
    expect(differenceOf(of(Infinity), of(Infinity))).toBe(Infinity);
    expect(differenceOf(of(Infinity, 1), of(2, 1))).toBe(Infinity);
    expect(differenceOf(of(1), of(1, 1))).toBe(Infinity);
  });
});

describe("checkAgreement", () => {
  it("says by how much values differ", () => {
    expect(() => checkAgreement(of(1), of(1.00005))).not.toThrow();
    expect(() => checkAgreement(of(1), of(1.5))).toThrow(
      "values must agree within 0.0001, got a difference of 0.5",
    );
  });
});
