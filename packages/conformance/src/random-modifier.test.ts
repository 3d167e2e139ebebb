import { evaluateNumber, reads } from "@heddle/attention";
import { describe, expect, it } from "vitest";
import { randomModifier, randomTableNames } from "./random-modifier.ts";

describe("randomModifier", () => {
  it("gives the same tree for the same seed and index, and others for others", () => {
    const text = (seed: number, index: number) => JSON.stringify(randomModifier({ seed, index }));
    expect(text(1, 2)).toBe(text(1, 2));
    expect(new Set(Array.from({ length: 100 }, (_, index) => text(1, index))).size).toBeGreaterThan(95);
    expect(text(1, 2)).not.toBe(text(2, 2));
  });
  it("reads the score and every tensor, and stays finite", () => {
    const seen = new Set<string>();
    const at = { query: 3, key: 40, head: 1, queryLength: 64, keyLength: 64, score: 5 };
    const lookups = { bias: Array.from({ length: 20 }, () => 2), slope: [1, -1] };
    for (let index = 0; index < 300; index++) {
      const node = randomModifier({ seed: 3, index });
      for (const name of reads(node).lookups) seen.add(name);
      expect(Math.abs(evaluateNumber(node, { ...at, lookups }))).toBeLessThan(1000);
    }
    expect([...seen].toSorted()).toEqual(randomTableNames);
  });
});
