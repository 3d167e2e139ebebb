import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { expect, it } from "vitest";

const main = fileURLToPath(new URL("main.ts", import.meta.url));
function run(...args: readonly string[]): { status: number | null; stdout: string; stderr: string } {
  return spawnSync(process.execPath, ["-C", "@heddle/source", main, ...args], { encoding: "utf8" });
}

it("says how it is used when asked, and when it was asked wrongly", () => {
  const help = run("--help");
  expect(help).toMatchObject({ status: 0, stderr: "" });
  for (const option of ["--text FILE", "--steps N", "--seed N", "--out DIR", "--resume", "--json FILE"])
    expect(help.stdout).toContain(option);
  for (const [args, message] of [
    [[], "train-shakespeare: --text must be given"],
    [["--stpes", "3"], "Unknown option '--stpes'"],
  ] as const) {
    const { status, stdout, stderr } = run(...args);
    expect({ status, stdout }).toEqual({ status: 1, stdout: "" });
    expect(stderr).toContain(message);
    expect(stderr).toContain(help.stdout.trim());
  }
});
