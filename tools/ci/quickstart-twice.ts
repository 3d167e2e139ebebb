// Runs `npm run quickstart -- --steps 20` twice and fails unless both give the same losses, patterns and sample.
import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { differences, type QuickstartReport } from "./same-quickstart.ts";

const folder = mkdtempSync(join(tmpdir(), "quickstart-twice-"));
try {
  const found = differences(run("first"), run("second"));
  for (const difference of found) console.error(difference);
  console.log(found.length === 0 ? "both runs are equal" : "the runs differ");
  process.exitCode = found.length === 0 ? 0 : 1;
} finally {
  rmSync(folder, { recursive: true, force: true });
}

function run(name: string): QuickstartReport {
  const file = join(folder, `${name}.json`);
  const flags = ["--steps", "20", "--out", join(folder, name), "--json", file];
  const { status } = spawnSync("npm", ["run", "quickstart", "--", ...flags], {
    stdio: ["ignore", "inherit", "inherit"],
  });
  if (status !== 0) throw new Error(`quickstart: must exit with 0, got ${status}`);
  return JSON.parse(readFileSync(file, "utf8")) as QuickstartReport;
}
