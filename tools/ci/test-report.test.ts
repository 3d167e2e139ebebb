import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { countTests } from "./test-report.ts";

describe("countTests", () => {
  const folder = mkdtempSync(join(tmpdir(), "test-report-"));
  afterAll(() => rmSync(folder, { recursive: true }));
  const count = (content: unknown) => {
    writeFileSync(
      join(folder, "report.json"),
      typeof content === "string" ? content : JSON.stringify(content),
    );
    return countTests(join(folder, "report.json"));
  };
  const file = (status: string, ...tests: string[]) => ({
    status,
    assertionResults: tests.map((test) => ({ status: test })),
  });

  it("adds files up and leaves skipped tests out", () => {
    const testResults = [
      file("passed", "passed", "passed", "skipped"),
      file("failed", "failed", "passed", "failed"),
    ];
    expect(count({ testResults })).toEqual({ passed: 3, failed: 2 });
  });

  it("counts a file that did not load as one failure", () => {
    expect(count({ testResults: [file("failed"), file("failed", "passed")] })).toEqual({
      passed: 1,
      failed: 2,
    });
  });

  it("fails when no test ran or no report was written", () => {
    expect(count({ testResults: [file("passed", "skipped")] })).toEqual({ passed: 0, failed: 1 });
    expect(count({ testResults: [] })).toEqual({ passed: 0, failed: 1 });
    expect(count("half a rep")).toEqual({ passed: 0, failed: 1 });
    expect(countTests(join(folder, "absent.json"))).toEqual({ passed: 0, failed: 1 });
  });
});
