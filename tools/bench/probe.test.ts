import { expect, it } from "vitest";
import { openProbes } from "./probe.ts";

it("compiles, and computes what it should", async () => {
  const { instructions, peak, stream } = await openProbes();
  expect(["simd", "relaxed-simd"]).toContain(instructions);
  peak.run();
  stream.run();
  // Two operations in each of 4 lanes of 12 chains, 4096 times a unit.
  expect(peak.amount).toBe(4096 * 2 * 4 * 12 * 4096);
  expect(stream.amount).toBe(2 ** 28);
});
