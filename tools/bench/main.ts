/** `npm run bench -- [suite…] [--json FILE] [--repeats N]`: times our parts against what users would write or use instead. */
import { execFileSync } from "node:child_process";
import { mkdirSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";
import { parseArgs } from "node:util";
import { rowText } from "./row.ts";
import type { BenchReport, BenchRow } from "./row.ts";
import { processor, runSuite } from "./suite.ts";
import type { BenchSuite } from "./suite.ts";

/** Every suite by name, loaded when it runs. */
const suites: Readonly<Record<string, () => Promise<BenchSuite>>> = {
  operations: async () => (await import("./suites/operations.ts")).operations(),
};

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { json: { type: "string" }, repeats: { type: "string", default: "15" } },
});
const names = positionals.length > 0 ? positionals : Object.keys(suites);
const unknown = names.find((name) => !Object.hasOwn(suites, name));
const repeats = Number(values.repeats);
if (unknown !== undefined || !Number.isInteger(repeats) || repeats < 1) {
  console.error(
    unknown === undefined
      ? `bench: --repeats must be an integer >= 1, got ${values.repeats}`
      : `bench: suite must be one of ${Object.keys(suites).join(", ")}, got ${unknown}`,
  );
  process.exit(1);
}

function commit(): string {
  try {
    return execFileSync("git", ["rev-parse", "--short", "HEAD"], { encoding: "utf8" }).trim();
  } catch {
    return "unknown";
  }
}

const report = { node: process.version, cpu: processor(), commit: commit() };
console.log(`Node ${report.node}, ${report.cpu}, commit ${report.commit}`);
const rows: BenchRow[] = [];
for (const name of names) {
  const suite = await suites[name]!();
  console.log(`${name}: ${suite.mode}`);
  for await (const row of runSuite(name, suite, { repeats })) {
    rows.push(row);
    console.log(rowText(row));
  }
  await suite.stop();
}
if (values.json !== undefined) {
  mkdirSync(dirname(values.json), { recursive: true });
  writeFileSync(values.json, `${JSON.stringify({ ...report, rows } satisfies BenchReport, null, 2)}\n`);
}
