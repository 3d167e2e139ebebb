// npm run figures -- <issue> [--only NAME] [--json FILE] [--fresh]
import { closeSync, mkdirSync, openSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { parseArgs } from "node:util";
import { measure, tableOf } from "./measure.ts";
import { issues } from "./registry.ts";
import { keepResults, stateOfCode } from "./results.ts";

const usage = "npm run figures -- <issue> [--only NAME] [--json FILE] [--fresh]";

try {
  process.exitCode = await main();
} catch (error) {
  console.error(`${error instanceof Error ? error.message : String(error)}\n${usage}`);
  process.exitCode = 1;
}

async function main(): Promise<number> {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: { only: { type: "string" }, json: { type: "string" }, fresh: { type: "boolean" } },
  });
  const [issue = "", ...rest] = positionals;
  if (!Object.hasOwn(issues, issue) || rest.length > 0)
    throw new RangeError(
      `figures: issue must be one of ${Object.keys(issues).join(", ")}, got "${positionals.join(" ")}"`,
    );
  if (values.json !== undefined) {
    // Tried now: the figures take long.
    mkdirSync(dirname(values.json), { recursive: true });
    closeSync(openSync(values.json, "a"));
  }
  const rows = await measure({
    issue,
    measurements: issues[issue] ?? {},
    kept: keepResults(join(process.cwd(), "out/figures"), stateOfCode(process.cwd())),
    only: values.only,
    fresh: values.fresh,
    context: { progress: (text) => console.error(text) },
  });
  console.log(tableOf(rows));
  if (values.json !== undefined) writeFileSync(values.json, `${JSON.stringify(rows, null, 2)}\n`);
  return rows.length > 0 && rows.every(({ held }) => held) ? 0 : 1;
}
