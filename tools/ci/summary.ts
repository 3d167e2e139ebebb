import type { StageResult } from "./run-stage.ts";

/** A table of the stages and, as the last line, `N passed, N failed`: every test, and one more for each stage. */
export function summarize(results: readonly StageResult[]): {
  readonly lines: string[];
  readonly failed: number;
} {
  let passed = 0;
  let failed = 0;
  const width = Math.max(...results.map(({ name }) => name.length));
  const lines = results.map(({ name, ok, seconds, tests }) => {
    passed += (tests?.passed ?? 0) + (ok ? 1 : 0);
    failed += (tests?.failed ?? 0) + (ok ? 0 : 1);
    const counts = tests ? `  tests: ${tests.passed} passed and ${tests.failed} failed` : "";
    return `${ok ? "ok  " : "FAIL"} ${name.padEnd(width)}  ${formatSeconds(seconds).padStart(8)}${counts}`;
  });
  const total = results.reduce((sum, { seconds }) => sum + seconds, 0);
  lines.push(`     ${"all".padEnd(width)}  ${formatSeconds(total).padStart(8)}`);
  lines.push(`${passed} passed, ${failed} failed`);
  return { lines, failed };
}

function formatSeconds(seconds: number): string {
  const whole = Math.round(seconds);
  return whole < 60
    ? `${seconds.toFixed(1)} s`
    : `${Math.floor(whole / 60)} m ${String(whole % 60).padStart(2, "0")} s`;
}
