import * as tf from "@tensorflow/tfjs-core";
import { cpu } from "@heddle/backend-cpu";
import { wasm } from "@heddle/backend-wasm";
import { webgpu } from "@heddle/backend-webgpu";
import { createRegistry, createWeights, startBackend } from "@heddle/core";
import type { Backend, BackendStarter } from "@heddle/core";
import { generate } from "@heddle/generation";
import { gpt, gptPresets, loadModel, readAttention, standard } from "@heddle/models";
import type { Model } from "@heddle/models";
import { byteTokenizer } from "@heddle/tokenizers";
import type { Tokenizer } from "@heddle/tokenizers";
import { adamw, evaluate, sequentialWindows, tokenWindows, train, warmupCosine } from "@heddle/training";
import colours from "picocolors";
import { ensureSoftwareGpu } from "../../../tools/software-gpu/node.ts";
import { mobyDick, split } from "./corpus.ts";
import type { Corpus } from "./corpus.ts";
import { lossCurve } from "./loss-curve.ts";
import type { Options } from "./options.ts";
import { LONG, runPatterns } from "./patterns.ts";
import type { PatternResult } from "./patterns.ts";
import { createProgress } from "./progress.ts";
import type { Screen } from "./progress.ts";
import { checkSameLogits, largestDifference } from "./same-logits.ts";
import { visible } from "./visible.ts";

/** What `--json` writes. Only `seconds`, `milliseconds` and `longMilliseconds` differ between two runs with one seed. */
export interface QuickstartResult {
  readonly seconds: number;
  readonly steps: number;
  readonly trainLoss: readonly number[];
  readonly validationLoss: number;
  readonly reloadMaxDifference: number;
  readonly sample: string;
  readonly patterns: readonly Omit<PatternResult, "picture">[];
  /** What the other backend said of the same weights; absent when there is none. */
  readonly webgpu?: { readonly description: string; readonly maxDifference: number };
}

const BATCH = 8;
const PEAK_RATE = 2e-3;
/** Fewer where a forward pass is slow: plain JavaScript, and WebGPU in software. */
const VALIDATION_WINDOWS = { cpu: 16, wasm: 64, webgpu: 16 } as const satisfies Record<
  Options["backend"],
  number
>;
const PROMPT = "Call me Ishmael. ";
/** How far the logits on two backends may lie apart: they add in another order, and graphics cards round exp and tanh. */
const OTHER_BACKEND = 1e-3;

/** Text that every part of the quickstart is compared on: the first tokens of the validation text. */
const probeOf = ({ validation }: Corpus): number[][] => [[...validation.subarray(0, 64)]];

async function logitsOf(model: Model, ids: number[][]): Promise<Float32Array> {
  const output = model.forward({ ids });
  try {
    return (await output.logits!.data()) as Float32Array;
  } finally {
    output.dispose();
  }
}

const starters: Readonly<Record<Options["backend"], () => Promise<BackendStarter>>> = {
  cpu: async () => cpu(),
  wasm: async () => wasm(),
  webgpu: async () => {
    await ensureSoftwareGpu({ keepInstalled: true });
    return webgpu();
  },
};

/** Trains and gives the losses. */
async function trainModel(model: Model, corpus: Corpus, options: Options, screen: Screen): Promise<number[]> {
  const { steps, seed } = options;
  const progress = createProgress(screen, () => performance.now());
  const losses: number[] = [];
  const batches = tokenWindows(corpus.train, { length: model.config.maxLength, batch: BATCH, seed });
  const learningRate = warmupCosine({
    peak: PEAK_RATE,
    warmup: Math.min(20, Math.floor(steps / 5)),
    steps,
    floor: PEAK_RATE / 10,
  });
  const optimizer = adamw({ learningRate, beta2: 0.99, weightDecay: 0.1 });
  for await (const step of train(model, { batches, optimizer, steps, seed, clip: 1 })) {
    losses.push(step.loss);
    progress.show(step);
  }
  progress.end();
  return losses;
}

/** Streams a sample to the screen and gives its text. */
async function sample(model: Model, tokenizer: Tokenizer, seed: number, screen: Screen): Promise<string> {
  let text = PROMPT;
  screen.write(colours.dim(PROMPT));
  for await (const piece of generate(model, {
    prompt: PROMPT,
    tokenizer,
    maxNewTokens: 200,
    temperature: 0.8,
    topK: 40,
    seed,
    // With a cache until the 64 tokens of the context are full, then over the last 64.
    whenFull: "slide",
  })) {
    text += piece;
    screen.write(visible(piece));
  }
  screen.write("\n");
  return text;
}

/** Loads the saved weights on WebGPU (after a run on it, on WASM) and compares the logits; undefined when it is not there. */
async function compareOnOther(
  options: Options,
  expected: Float32Array,
  probe: number[][],
  screen: Screen,
): Promise<QuickstartResult["webgpu"]> {
  const other = options.backend === "webgpu" ? "wasm" : "webgpu";
  let backend: Backend;
  try {
    backend = await startBackend(await starters[other]());
  } catch (error) {
    screen.write(`${other}: not here (${error instanceof Error ? error.message : String(error)})\n`);
    return undefined;
  }
  try {
    const { model } = await loadModel(options.out, { families: [gpt] });
    const maxDifference = largestDifference(await logitsOf(model, probe), expected);
    model.dispose();
    screen.write(`${backend.description}: largest difference ${maxDifference.toExponential(1)}\n`);
    checkSameLogits(`on ${other}`, maxDifference, OTHER_BACKEND);
    return { description: backend.description, maxDifference };
  } finally {
    await backend.dispose();
  }
}

function patternRow(result: PatternResult, [dense]: readonly PatternResult[]): string {
  const { name, allowedShare, validationLoss, milliseconds, longMilliseconds } = result;
  return [
    name.padEnd(16),
    `${(100 * allowedShare).toFixed(1)} %`.padStart(8),
    validationLoss.toFixed(3).padStart(8),
    `${milliseconds.toFixed(0)} ms`.padStart(9),
    ...(longMilliseconds === undefined || dense?.longMilliseconds === undefined
      ? []
      : [
          `${longMilliseconds.toFixed(1)} ms`.padStart(12),
          `${(dense.longMilliseconds / longMilliseconds).toFixed(1)}x`.padStart(8),
        ]),
  ].join("");
}

/** Runs the whole quickstart. */
export async function quickstart(options: Options, screen: Screen): Promise<QuickstartResult> {
  const start = performance.now();
  const title = (text: string): void => screen.write(`\n${colours.bold(text)}\n`);
  const backend = await startBackend(await starters[options.backend]());
  const attention = await readAttention(options.attention, createRegistry(standard));
  const tokenizer = byteTokenizer();
  const corpus = split(mobyDick(), tokenizer);
  const probe = probeOf(corpus);
  const model = gpt({ ...gptPresets.tiny, attention }, createWeights({ seed: options.seed }));

  title("Train");
  const { layers, heads, width, maxLength } = model.config;
  screen.write(
    `GPT with ${model.parameterCount().toLocaleString("en")} parameters (${layers} layers, ${heads} heads, width ${width}, ` +
      `block ${maxLength}) on Moby-Dick, ${corpus.train.length.toLocaleString("en")} bytes, ${backend.description}\n`,
  );
  const trainLoss = await trainModel(model, corpus, options, screen);
  screen.write(`${lossCurve(trainLoss)}\n`);
  const validation = sequentialWindows(
    corpus.validation.subarray(0, VALIDATION_WINDOWS[options.backend] * maxLength + 1),
    {
      length: maxLength,
      batch: BATCH,
    },
  );
  const { loss: validationLoss } = await evaluate(model, validation);
  screen.write(
    `training loss ${trainLoss.at(-1)!.toFixed(3)}, validation loss ${validationLoss.toFixed(3)}\n`,
  );

  title("Save and load");
  await model.save(options.out, { tokenizer });
  const logits = await logitsOf(model, probe);
  model.dispose();
  const loaded = await loadModel(options.out, { families: [gpt] });
  const reloadMaxDifference = largestDifference(await logitsOf(loaded.model, probe), logits);
  screen.write(
    `${options.out}: a Hugging Face directory; largest difference of the logits ${reloadMaxDifference}\n`,
  );
  checkSameLogits("after saving and loading", reloadMaxDifference, 0);

  title("Sample");
  const text = await sample(loaded.model, loaded.tokenizer ?? tokenizer, options.seed, screen);

  title("The same weights under other attention");
  const results: PatternResult[] = [];
  for await (const result of runPatterns(loaded.model, validation)) {
    results.push(result);
    screen.write(`\n${result.name}\n${result.picture.map((row) => `  ${row}`).join("\n")}\n`);
  }
  const timedLong = results[0]?.longMilliseconds !== undefined;
  const columns = ["pattern".padEnd(16), "pairs".padStart(8), "loss".padStart(8), "time".padStart(9)];
  if (timedLong) columns.push(`${LONG} tokens`.padStart(12), "faster".padStart(8));
  screen.write(`\n${columns.join("")}\n`);
  for (const result of results) screen.write(`${patternRow(result, results)}\n`);
  if (timedLong) screen.write(`(one attention over ${LONG} tokens, against causal)\n`);
  loaded.model.dispose();

  title("The same weights on the other backend");
  const webgpuResult = await compareOnOther(options, logits, probe, screen);
  const tensors = tf.memory().numTensors;
  if (tensors > 0) screen.write(`${tensors} tensors left\n`);
  await backend.dispose();
  const seconds = (performance.now() - start) / 1000;
  screen.write(`\n${seconds.toFixed(0)} s in all. Next: README.md, or npm run quickstart -- --help\n`);
  return {
    seconds,
    steps: options.steps,
    trainLoss,
    validationLoss,
    reloadMaxDifference,
    sample: text,
    patterns: results.map(({ picture: _, ...rest }) => rest),
    ...(webgpuResult && { webgpu: webgpuResult }),
  };
}
