import { readFileSync } from "node:fs";

/** How many tests ended in which way. */
export interface TestCount {
  readonly passed: number;
  readonly failed: number;
}

/** The parts of Vitest's JSON report that are counted. */
interface TestReport {
  readonly testResults: readonly {
    readonly status: string;
    readonly assertionResults: readonly { readonly status: string }[];
  }[];
}

/**
 * Counts a report of Vitest's `json` reporter. Skipped tests count as neither. A file that failed without a failed
 * test (it did not load) is one failure; so is a missing or unreadable report, and one in which no test ran.
 */
export function countTests(file: string): TestCount {
  let report: TestReport;
  try {
    report = JSON.parse(readFileSync(file, "utf8")) as TestReport;
  } catch {
    return { passed: 0, failed: 1 };
  }
  let passed = 0;
  let failed = 0;
  for (const { status, assertionResults } of report.testResults) {
    const failures = assertionResults.filter((test) => test.status === "failed").length;
    passed += assertionResults.filter((test) => test.status === "passed").length;
    failed += status === "failed" ? Math.max(1, failures) : failures;
  }
  return passed + failed === 0 ? { passed: 0, failed: 1 } : { passed, failed };
}
