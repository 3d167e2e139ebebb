// The stages after `npm ci`, each with its duration; argument: the seconds that `npm ci` took.
import { join } from "node:path";
import { runStage, type StageResult } from "./run-stage.ts";
import { stages } from "./stages.ts";
import { summarize } from "./summary.ts";

const results: StageResult[] = [{ name: "npm ci", ok: true, seconds: Number(process.argv[2] ?? 0) }];
for (const stage of stages) {
  console.log(`\n=== ${stage.name}`);
  results.push(await runStage(stage, join(process.cwd(), "out", "ci")));
}
const { lines, failed } = summarize(results);
console.log(`\n${lines.join("\n")}`);
process.exitCode = failed === 0 ? 0 : 1;
