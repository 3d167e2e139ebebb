/** The quickstart: trains a small GPT on Moby-Dick, saves it, loads it again, samples, and re-weaves its attention. */
import { HeddleError } from "@heddle/core";
import colours from "picocolors";
import { readOptions, usage } from "./options.ts";
import { checkOutputs, writeOutput } from "./outputs.ts";
import { quickstart } from "./quickstart.ts";

async function main(): Promise<number> {
  const options = readOptions(process.argv.slice(2));
  if (!options) {
    console.log(usage);
    return 0;
  }
  await checkOutputs(options);
  const result = await quickstart(options, {
    isTTY: process.stdout.isTTY ?? false,
    write: (text) => void process.stdout.write(text),
  });
  if (options.json !== undefined) await writeOutput(options.json, result);
  return 0;
}

try {
  process.exitCode = await main();
} catch (error) {
  const isOption =
    error instanceof TypeError && "code" in error && String(error.code).startsWith("ERR_PARSE_ARGS");
  if (!(error instanceof HeddleError) && !isOption) throw error;
  console.error(colours.red((error as Error).message));
  if (isOption) console.error(usage);
  process.exitCode = 1;
}
