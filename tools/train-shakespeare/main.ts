// Trains nanoGPT's CPU model on a text and measures its validation loss; `--help` says how.
import { readFileSync, writeFileSync } from "node:fs";
import { parseArgs } from "node:util";
import { wasm } from "@heddle/backend-wasm";
import { startBackend } from "@heddle/core";
import { published, target, trainShakespeare } from "./train-shakespeare.ts";
import { describeStep, sparingly } from "./step-line.ts";

const usage = `npm run train:shakespeare -- --text FILE [options]
  --text FILE   the text, of which the last tenth is for validation; for example
                https://raw.githubusercontent.com/karpathy/char-rnn/master/data/tinyshakespeare/input.txt, saved
  --steps N     training steps (2000)
  --seed N      seed of weights, batches and dropout (1337)
  --out DIR     folder of the checkpoint (out/shakespeare)
  --resume      go on from the checkpoint in the folder
  --json FILE   write the results to a file instead of the standard output
  --help        this text`;

try {
  process.exitCode = await main();
} catch (error) {
  const interrupted = error instanceof Error && error.name === "AbortError";
  console.error(interrupted ? "stopped; --resume goes on from the last checkpoint" : String(error));
  const isOption =
    error instanceof RangeError ||
    (error instanceof TypeError && "code" in error && String(error.code).startsWith("ERR_PARSE_ARGS"));
  if (isOption) console.error(usage);
  process.exitCode = interrupted ? 130 : 1;
}

function integer(name: string, text: string): number {
  if (!/^\d+$/.test(text))
    throw new RangeError(`train-shakespeare: --${name} must be an integer, got "${text}"`);
  return Number(text);
}

async function main(): Promise<number> {
  const { values } = parseArgs({
    options: {
      text: { type: "string" },
      steps: { type: "string", default: "2000" },
      seed: { type: "string", default: "1337" },
      out: { type: "string", default: "out/shakespeare" },
      resume: { type: "boolean", default: false },
      json: { type: "string" },
      help: { type: "boolean", default: false },
    },
  });
  if (values.help) {
    console.log(usage);
    return 0;
  }
  if (values.text === undefined)
    throw new RangeError("train-shakespeare: --text must be given: a file such as tinyshakespeare");
  const stop = new AbortController();
  process.once("SIGINT", () => stop.abort());
  const backend = await startBackend(wasm());
  const start = performance.now();
  const say = sparingly(10_000, (line: string) => console.error(line));
  const result = await trainShakespeare({
    text: readFileSync(values.text, "utf8"),
    steps: integer("steps", values.steps),
    seed: integer("seed", values.seed),
    out: values.out,
    resume: values.resume,
    signal: stop.signal,
    onStep: (step) => say(describeStep(step), step.step === 1 || step.validationLoss !== undefined),
  });
  await backend.dispose();
  const json = `${JSON.stringify({ seconds: (performance.now() - start) / 1000, ...result }, null, 2)}\n`;
  if (values.json === undefined) process.stdout.write(json);
  else writeFileSync(values.json, json);
  const { validationLoss } = result;
  console.error(
    `validation loss ${validationLoss.toFixed(4)}, asked for with 2000 steps: <= ${target} (nanoGPT: ${published})`,
  );
  return 0;
}
