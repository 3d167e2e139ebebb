import { spawn } from "node:child_process";
import { mkdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import type { Stage } from "./stages.ts";
import { countTests, type TestCount } from "./test-report.ts";

/** How a stage ended. */
export interface StageResult {
  readonly name: string;
  readonly ok: boolean;
  readonly seconds: number;
  /** Undefined where the stage runs no tests. */
  readonly tests?: TestCount;
}

/** Runs one stage with its output passed through; its test report goes to `reportFolder`. */
export async function runStage(stage: Stage, reportFolder: string): Promise<StageResult> {
  const { name, minutes, countsTests } = stage;
  mkdirSync(reportFolder, { recursive: true });
  const report = join(reportFolder, `${name.replaceAll(/\W+/g, "-")}.json`);
  rmSync(report, { force: true });
  const reporters = ["--reporter=default", "--reporter=json", `--outputFile.json=${report}`];
  const [program = "", ...args] = [...stage.command, ...(countsTests ? reporters : [])];
  const started = performance.now();
  const exit = await execute(program, args, minutes);
  const seconds = (performance.now() - started) / 1000;
  if (exit !== 0)
    console.log(`${name}: ${exit === "late" ? `killed after ${minutes} minutes` : `exit code ${exit}`}`);
  if (!countsTests) return { name, ok: exit === 0, seconds };
  const tests = countTests(report);
  return { name, ok: exit === 0 && tests.failed === 0, seconds, tests };
}

/** The exit code, or "late" for a command whose whole process group was killed at its limit. */
function execute(program: string, args: readonly string[], minutes: number): Promise<number | "late"> {
  return new Promise((resolve) => {
    const child = spawn(program, args, { stdio: ["ignore", "inherit", "inherit"], detached: true });
    const killGroup = (): void => {
      if (child.pid !== undefined) process.kill(-child.pid, "SIGKILL");
    };
    const interrupt = (): void => {
      killGroup();
      process.exit(1);
    };
    let late = false;
    const timer = setTimeout(() => {
      late = true;
      killGroup();
    }, minutes * 60_000);
    process.once("SIGINT", interrupt).once("SIGTERM", interrupt);
    const finish = (exit: number): void => {
      clearTimeout(timer);
      process.off("SIGINT", interrupt).off("SIGTERM", interrupt);
      resolve(late ? "late" : exit);
    };
    child.once("error", (error) => {
      console.error(`${program}: ${error.message}`);
      finish(127);
    });
    child.once("close", (code) => finish(code ?? 1));
  });
}
