import { expect, it } from "vitest";
import { RecentlyUsed } from "./recently-used.ts";

it("keeps what was asked for last, and frees the rest", () => {
  const [made, freed]: [number[], number[]] = [[], []];
  const recent = new RecentlyUsed<number>(2, (value) => freed.push(value));
  const get = (wanted: number): number =>
    recent.get(
      (value) => value === wanted,
      () => made[made.push(wanted) - 1]!,
    );
  expect([1, 2, 1, 3, 1, 2].map(get)).toEqual([1, 2, 1, 3, 1, 2]);
  expect(made).toEqual([1, 2, 3, 2]);
  expect(freed).toEqual([2, 3]);
});

it("keeps the others where one cannot be made", () => {
  const recent = new RecentlyUsed<number>(1);
  const fails = (): never => {
    throw new Error("no");
  };
  recent.get(
    () => false,
    () => 1,
  );
  expect(() => recent.get(() => false, fails)).toThrow("no");
  expect(recent.get((value) => value === 1, fails)).toBe(1);
});
