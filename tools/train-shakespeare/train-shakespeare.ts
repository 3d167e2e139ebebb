/** nanoGPT's CPU settings: https://github.com/karpathy/nanoGPT, "quick start", "I only have a macbook". */
import { createWeights } from "@heddle/core";
import { gpt } from "@heddle/models";
import { adamw, evaluate, sequentialWindows, tokenWindows, train, warmupCosine } from "@heddle/training";
import type { TrainStep } from "@heddle/training";
import { characterTokenizer, encodeCharacters } from "./character-tokenizer.ts";

const length = 64;
const batch = 12;
const evaluateEvery = 500;
const saveEvery = 100;

/** The validation loss that nanoGPT publishes for these settings, and the one that is asked here. */
export const published = 1.88;
export const target = 1.9;

export interface ShakespeareOptions {
  readonly text: string;
  /** @default 2000 */
  readonly steps?: number;
  /** @default 1337 */
  readonly seed?: number;
  /** Where checkpoints and the model go. */
  readonly out: string;
  /** Goes on where the checkpoint in `out` ended; from the beginning where there is none. @default false */
  readonly resume?: boolean;
  readonly signal?: AbortSignal;
  /** Told of each step. */
  readonly onStep?: (step: TrainStep) => void;
}

/** What the training came to. */
export interface ShakespeareResult {
  readonly steps: number;
  readonly parameters: number;
  /** Loss of each step that was done now: those before a resume are not known. */
  readonly trainLoss: readonly number[];
  /** Over the whole last tenth of the text. */
  readonly validationLoss: number;
  /** Number of characters that it was measured on. */
  readonly validationTokens: number;
}

/** Trains on the first nine tenths of a text; the backend has been started. */
export async function trainShakespeare(options: ShakespeareOptions): Promise<ShakespeareResult> {
  const { text, steps = 2000, seed = 1337, out, resume = false, signal, onStep } = options;
  const tokenizer = characterTokenizer(text);
  const ids = encodeCharacters(tokenizer, text);
  const cut = Math.floor(ids.length * 0.9);
  const validation = sequentialWindows(ids.subarray(cut), { length, batch: 32 });
  const model = gpt(
    { vocabularySize: tokenizer.size, maxLength: length, width: 128, layers: 4, heads: 4 },
    createWeights({ seed }),
  );
  try {
    const trainLoss: number[] = [];
    for await (const step of train(model, {
      batches: tokenWindows(ids.subarray(0, cut), { length, batch, seed }),
      optimizer: adamw({
        learningRate: warmupCosine({
          peak: 1e-3,
          warmup: Math.max(0, Math.min(100, steps - 1)),
          steps,
          floor: 1e-4,
        }),
        beta2: 0.99,
        weightDecay: 0.1,
      }),
      steps,
      clip: 1,
      seed,
      evaluate: { every: evaluateEvery, batches: validation },
      checkpoint: { directory: out, every: saveEvery, tokenizer },
      resume,
      ...(signal && { signal }),
    })) {
      trainLoss.push(step.loss);
      onStep?.(step);
    }
    const { loss, tokens } = await evaluate(model, validation, signal && { signal });
    return {
      steps,
      parameters: model.parameterCount(),
      trainLoss,
      validationLoss: loss,
      validationTokens: tokens,
    };
  } finally {
    model.dispose();
  }
}
