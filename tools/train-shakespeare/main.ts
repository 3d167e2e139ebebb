// npm run train:shakespeare -- --text FILE [--steps 2000] [--seed 1337] [--out out/shakespeare] [--resume] [--json FILE]
import { readFileSync, writeFileSync } from "node:fs";
import { parseArgs } from "node:util";
import { wasm } from "@heddle/backend-wasm";
import { startBackend } from "@heddle/core";
import { published, target, trainShakespeare } from "./train-shakespeare.ts";
import { describeStep, sparingly } from "./step-line.ts";

const usage =
  "npm run train:shakespeare -- --text FILE [--steps 2000] [--seed 1337] [--out DIR] [--resume] [--json FILE]";

try {
  process.exitCode = await main();
} catch (error) {
  const interrupted = error instanceof Error && error.name === "AbortError";
  console.error(interrupted ? "stopped; --resume goes on from the last checkpoint" : String(error));
  if (error instanceof RangeError) console.error(usage);
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
    },
  });
  if (values.text === undefined)
    throw new RangeError(
      "train-shakespeare: --text must be given: a file such as tinyshakespeare, https://raw.githubusercontent.com/karpathy/char-rnn/master/data/tinyshakespeare/input.txt",
    );
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
