import { describe, expect, it } from "vitest";
import { scoreDerivative } from "../expression/derivative.ts";
import { evaluateNumber } from "../expression/evaluate.ts";
import { softCap } from "./soft-cap.ts";

const at = { query: 0, key: 0, queryLength: 1, keyLength: 1 };

describe("softCap", () => {
  it("is cap tanh(score / cap), with its derivative", () => {
    const { score: node, name, options, kind } = softCap({ cap: 50 });
    expect({ name, options, kind }).toEqual({ name: "soft-cap", options: { cap: 50 }, kind: "modifier" });
    for (const score of [-400, -50, -1, 0, 0.25, 20, 1000]) {
      expect(evaluateNumber(node, { ...at, score })).toBeCloseTo(50 * Math.tanh(score / 50), 12);
      const slope = 1 - Math.tanh(score / 50) ** 2;
      expect(evaluateNumber(scoreDerivative(node), { ...at, score })).toBeCloseTo(slope, 12);
    }
  });
  it("rejects a cap that is not positive", () => {
    expect(() => softCap({ cap: 0 })).toThrow(
      "softCap: cap must be a number from 0.000001 to 1000000, got 0",
    );
    expect(() => softCap({ cap: NaN })).toThrow(
      "softCap: cap must be a number from 0.000001 to 1000000, got NaN",
    );
  });
});
