import { execFileSync } from "node:child_process";
import { describe, expect, it } from "vitest";
import { complaint } from "./complaint.mjs";

describe("require-node", () => {
  it.each(["22.18.0", "22.19.1", "24.0.0", "100.0.0"])("accepts %s", (version) => {
    expect(complaint(version)).toBeUndefined();
  });

  it.each(["18.20.0", "20.20.2", "22.17.9"])("refuses %s and says what to do", (version) => {
    expect(complaint(version)).toMatch(
      `tools: must run under Node >= 22.18, got ${version}. Use the npm scripts`,
    );
  });

  it("lets the Node that runs this test pass", () => {
    const main = new URL("./main.mjs", import.meta.url).pathname;
    expect(execFileSync(process.execPath, [main], { encoding: "utf8" })).toBe("");
  });
});
