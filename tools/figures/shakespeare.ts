// The validation loss of nanoGPT's CPU settings on tinyshakespeare. An interrupted measurement of the same code resumes.
import { createHash } from "node:crypto";
import { existsSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { wasm } from "@heddle/backend-wasm";
import { startBackend } from "@heddle/core";
import { describeStep, sparingly } from "../train-shakespeare/step-line.ts";
import { published, target, trainShakespeare } from "../train-shakespeare/train-shakespeare.ts";
import type { Figure, FigureContext } from "./figure.ts";
import { stateOfCode } from "./results.ts";

const source = "https://raw.githubusercontent.com/karpathy/char-rnn/master/data/tinyshakespeare/input.txt";
/** Characters of the published text, of which the last tenth is for validation. */
const characters = 1_115_394;

function readText(): string {
  const given = process.env["HEDDLE_SHAKESPEARE"];
  const path = given ?? "../shared/data/tinyshakespeare.txt";
  if (!existsSync(path))
    throw new Error(
      `${path} is not there; save ${source} and say where it is: HEDDLE_SHAKESPEARE=FILE npm run figures -- loom --only shakespeare`,
    );
  const text = readFileSync(path, "utf8");
  if (text.length !== characters)
    throw new Error(`${path} must have ${characters} characters, as ${source}, got ${text.length}`);
  return text;
}

/** Takes about a quarter of an hour. */
export default async function shakespeareFigure({ progress }: FigureContext): Promise<Figure[]> {
  const text = readText();
  const state = stateOfCode(process.cwd());
  const name = createHash("sha256")
    .update(state ?? "unknown")
    .digest("hex")
    .slice(0, 12);
  const out = join(process.cwd(), "out/figures", `shakespeare-${name}`);
  const say = sparingly(30_000, progress);
  const backend = await startBackend(wasm());
  try {
    const { steps, validationLoss, validationTokens } = await trainShakespeare({
      text,
      out,
      resume: state !== undefined,
      onStep: (step) => say(describeStep(step), step.validationLoss !== undefined),
    });
    rmSync(out, { recursive: true });
    return [
      {
        figure: "shakespeare: validation loss over the whole last tenth",
        target: `<= ${target.toFixed(2)} (nanoGPT: ${published})`,
        measured: `${validationLoss.toFixed(4)} after ${steps} steps, over ${validationTokens} characters`,
        held: validationLoss <= target,
      },
    ];
  } finally {
    await backend.dispose();
  }
}
