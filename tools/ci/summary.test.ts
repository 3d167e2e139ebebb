import { describe, expect, it } from "vitest";
import { summarize } from "./summary.ts";

describe("summarize", () => {
  it("counts tests and stages, and ends with one plain line", () => {
    const { lines, failed } = summarize([
      { name: "npm ci", ok: true, seconds: 59.94 },
      { name: "npm test", ok: false, seconds: 125.2, tests: { passed: 40, failed: 2 } },
      { name: "lint", ok: false, seconds: 1 },
    ]);
    expect(lines).toEqual([
      "ok   npm ci    1 m 00 s",
      "FAIL npm test  2 m 05 s  tests: 40 passed and 2 failed",
      "FAIL lint         1.0 s",
      "     all       3 m 06 s",
      "41 passed, 4 failed",
    ]);
    expect(failed).toBe(4);
  });
});
