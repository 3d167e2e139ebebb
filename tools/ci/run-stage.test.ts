import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { runStage } from "./run-stage.ts";

describe("runStage", () => {
  const folder = mkdtempSync(join(tmpdir(), "run-stage-"));
  beforeAll(() => void vi.spyOn(console, "log").mockImplementation(() => {}));
  afterAll(() => rmSync(folder, { recursive: true }));
  const node = (code: string) => ["node", "-e", code];

  it("passes and fails by the exit code", async () => {
    const good = await runStage({ name: "good", command: node(""), minutes: 1 }, folder);
    expect(good).toEqual({ name: "good", ok: true, seconds: expect.any(Number) });
    expect(
      await runStage({ name: "bad", command: node("process.exit(3)"), minutes: 1 }, folder),
    ).toMatchObject({
      ok: false,
    });
  });

  it("kills what takes too long, with the processes that it started", async () => {
    const started = performance.now();
    const command = ["sh", "-c", "sleep 30 & wait"];
    const result = await runStage({ name: "slow", command, minutes: 0.005 }, folder);
    expect(result.ok).toBe(false);
    expect(performance.now() - started).toBeLessThan(10_000);
  });

  it("fails a test stage that exits with 0 and reports no test", async () => {
    const stage = {
      name: "no tests",
      command: node("").concat("--"),
      minutes: 1,
      countsTests: true,
    } as const;
    expect(await runStage(stage, folder)).toMatchObject({ ok: false, tests: { passed: 0, failed: 1 } });
  });

  it("reads the report that the stage writes now, not an older one", async () => {
    const report = { testResults: [{ status: "passed", assertionResults: [{ status: "passed" }] }] };
    const write = `require("fs").writeFileSync(process.argv.at(-1).split("=")[1], ${JSON.stringify(JSON.stringify(report))})`;
    const stage = { name: "tests", command: [...node(write), "--"], minutes: 1, countsTests: true } as const;
    expect(await runStage(stage, folder)).toMatchObject({ ok: true, tests: { passed: 1, failed: 0 } });
    const silent = { ...stage, command: [...node(""), "--"] };
    expect(await runStage(silent, folder)).toMatchObject({ ok: false, tests: { passed: 0, failed: 1 } });
  });
});
