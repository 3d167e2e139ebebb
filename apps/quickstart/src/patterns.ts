import * as tf from "@tensorflow/tfjs-core";
import type { Tensor } from "@tensorflow/tfjs-core";
import {
  allowedShare,
  and,
  attention,
  attentionOperation,
  bigBird,
  causal,
  dilated,
  draw,
  full,
  slidingWindow,
  strided,
} from "@heddle/attention";
import type { AttentionCall, AttentionPattern } from "@heddle/attention";
import { explain, randomStream } from "@heddle/core";
import type { Model } from "@heddle/models";
import { evaluate } from "@heddle/training";
import type { BatchList, TokenBatch } from "@heddle/training";

/** The patterns that the same weights are run with, for a block of 64 tokens. */
const patterns: readonly { readonly name: string; readonly pattern: AttentionPattern }[] = [
  { name: "causal", pattern: full() },
  { name: "sliding window", pattern: slidingWindow({ before: 31 }) },
  { name: "dilated", pattern: dilated({ window: { before: 15 }, dilation: 2 }) },
  { name: "strided", pattern: strided({ stride: 8 }) },
  {
    name: "BigBird",
    pattern: bigBird({ block: 8, window: 3, global: 1, random: 1, seed: 1, direction: "past" }),
  },
];

/** One line of the table of patterns. */
export interface PatternResult {
  readonly name: string;
  /** Share of all pairs of query and key, from 0 to 1. */
  readonly allowedShare: number;
  readonly validationLoss: number;
  readonly milliseconds: number;
  /** Of one attention over 4,096 tokens; absent where only the reference runs it, which is slow there. */
  readonly longMilliseconds?: number;
  readonly picture: readonly string[];
}

/** Tokens of the long sequence on which one attention is timed. */
export const LONG = 4096;

/** Queries, keys and values of a long sequence. */
function drawLong({ heads, width }: Model["config"]): Pick<AttentionCall, "q" | "k" | "v"> {
  const drawn = (path: string): Tensor =>
    tf.tensor(randomStream({ seed: 1, path }).normals(LONG * width), [1, heads, LONG, width / heads]);
  return { q: drawn("q"), k: drawn("k"), v: drawn("v") };
}

/** Milliseconds of one attention: the least of three runs, after one that plans its tiles. */
function timeLong(call: AttentionCall): number | undefined {
  if (explain(attentionOperation, call).kernel === attentionOperation.reference.name) return undefined;
  const times = Array.from({ length: 4 }, () => {
    const start = performance.now();
    attention(call).dispose();
    return performance.now() - start;
  });
  return Math.min(...times.slice(1));
}

/** Runs the model's weights under each pattern; a decoder sees `and(causal(), pattern)`. */
export async function* runPatterns(
  model: Model,
  batches: BatchList<TokenBatch>,
): AsyncGenerator<PatternResult> {
  const { heads, maxLength } = model.config;
  const long = drawLong(model.config);
  try {
    for (const { name, pattern } of patterns) {
      const seen = and(causal(), pattern);
      const swapped = model.with({ attention: pattern });
      const start = performance.now();
      const { loss } = await evaluate(swapped, batches);
      const milliseconds = performance.now() - start;
      swapped.dispose();
      const longMilliseconds = timeLong({ ...long, pattern: seen });
      yield {
        name,
        allowedShare: allowedShare(seen, { heads, queryRows: maxLength, keyLength: maxLength }),
        validationLoss: loss,
        milliseconds,
        ...(longMilliseconds !== undefined && { longMilliseconds }),
        picture: draw(seen, { queryLength: maxLength, heads, columns: 32 }),
      };
    }
  } finally {
    tf.dispose({ ...long });
  }
}
