import { expect, it } from "vitest";
import { compareLosses, courses } from "./same-losses.ts";

it.each(Object.entries(courses))(
  "%s is trained on webgpu as on wasm, dropout included",
  async (_, course) => {
    const { difference, losses } = await compareLosses(course);
    expect(losses).toHaveLength(20);
    expect(new Set(losses).size).toBe(20);
    expect(difference).toBeLessThanOrEqual(1e-3);
  },
);
