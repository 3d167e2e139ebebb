/** `npm run bench -- [suite…] [--only TEXT] [--json FILE] [--table] [--repeats N]`: times our parts against what users would write or use instead. */
import { execFileSync } from "node:child_process";
import { mkdirSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";
import { parseArgs } from "node:util";
import { rowsTable, rowText } from "./row.ts";
import type { BenchReport, BenchRow } from "./row.ts";
import { processor, runSuite } from "./suite.ts";
import type { BenchSuite } from "./suite.ts";

/** Every suite by name, loaded when it runs. */
const suites: Readonly<Record<string, () => Promise<BenchSuite>>> = {
  machine: async () => (await import("./suites/machine.ts")).machine(),
  operations: async () => (await import("./suites/operations.ts")).operations(),
  kernels: async () => (await import("./suites/wasm-kernels.ts")).wasmKernels(),
  "webgpu-card": async () => (await import("./suites/webgpu-card.ts")).webgpuCard(),
  webgpu: async () => (await import("./suites/webgpu.ts")).webgpuKernels(),
  linear: async () => (await import("./suites/linear.ts")).linear(),
  attention: async () => (await import("./suites/attention.ts")).attentionForward(),
};

const usage = `npm run bench -- [suite…] [--only TEXT] [--json FILE] [--table] [--repeats N]
  suites: ${Object.keys(suites).join(", ")}
  Other libraries: npm run bench:setup installs those of npm, HEDDLE_PYTHON names a Python that has PyTorch.`;

interface Options {
  readonly names: readonly string[];
  readonly repeats: number;
  /** What the names of the cases hold. */
  readonly only?: string | undefined;
  readonly json?: string | undefined;
  /** Whether the rows are printed as Markdown too. */
  readonly table: boolean;
}

/** Reads the command line; undefined when it asks for help. @throws RangeError, or parseArgs' own error for an unknown flag. */
function readOptions(): Options | undefined {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      only: { type: "string" },
      json: { type: "string" },
      table: { type: "boolean", default: false },
      repeats: { type: "string", default: "15" },
      help: { type: "boolean", default: false },
    },
  });
  if (values.help) return undefined;
  const names = positionals.length > 0 ? positionals : Object.keys(suites);
  const unknown = names.find((name) => !Object.hasOwn(suites, name));
  if (unknown !== undefined)
    throw new RangeError(`bench: suite must be one of ${Object.keys(suites).join(", ")}, got "${unknown}"`);
  const repeats = Number(values.repeats);
  if (!Number.isInteger(repeats) || repeats < 1)
    throw new RangeError(`bench: --repeats must be an integer >= 1, got "${values.repeats}"`);
  return { names, repeats, only: values.only, json: values.json, table: values.table };
}

function optionsOrExit(): Options {
  try {
    const options = readOptions();
    if (options) return options;
    console.log(usage);
    process.exit(0);
  } catch (error) {
    console.error(`${error instanceof Error ? error.message : String(error)}\n${usage}`);
    process.exit(1);
  }
}

const { names, repeats, only, json, table } = optionsOrExit();

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
  const own: BenchRow[] = [];
  for await (const row of runSuite(name, suite, { repeats, only })) {
    own.push(row);
    console.log(rowText(row));
  }
  await suite.stop();
  if (table) console.log(`\n${suite.mode}, commit ${report.commit}:\n\n${rowsTable(own)}\n`);
  rows.push(...own);
}
if (json !== undefined) {
  mkdirSync(dirname(json), { recursive: true });
  writeFileSync(json, `${JSON.stringify({ ...report, rows } satisfies BenchReport, null, 2)}\n`);
}
