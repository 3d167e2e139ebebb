import { activeBackend } from "@heddle/core";
import { expect, it } from "vitest";
import { drawFrom } from "./draw.ts";
import { soakRound } from "./round.ts";

it("draws the same for the same seed", () => {
  const [a, b, c] = [drawFrom(1), drawFrom(1), drawFrom(2)];
  const numbers = (draw: typeof a): number[] => Array.from({ length: 20 }, () => draw.size(1000));
  const first = numbers(a);
  expect(numbers(b)).toEqual(first);
  expect(numbers(c)).not.toEqual(first);
  expect(Math.min(...first)).toBeGreaterThanOrEqual(1);
  expect(Math.max(...first)).toBeLessThanOrEqual(1000);
});

it.each([1, 2, 3])("holds for a round, seed %i", async (seed) => {
  const { actions, description } = await soakRound(seed);
  expect(actions).toBeGreaterThanOrEqual(10);
  expect(description).toContain("WebAssembly");
  expect(activeBackend()).toBeUndefined();
});
