import {
  allowedShare,
  and,
  bigBird,
  causal,
  dilated,
  draw,
  full,
  slidingWindow,
  strided,
} from "@heddle/attention";
import type { AttentionPattern } from "@heddle/attention";
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
  readonly picture: readonly string[];
}

/** Runs the model's weights under each pattern; a decoder sees `and(causal(), pattern)`. */
export async function* runPatterns(
  model: Model,
  batches: BatchList<TokenBatch>,
): AsyncGenerator<PatternResult> {
  const { heads, maxLength } = model.config;
  for (const { name, pattern } of patterns) {
    const seen = and(causal(), pattern);
    const swapped = model.with({ attention: pattern });
    const start = performance.now();
    const { loss } = await evaluate(swapped, batches);
    const milliseconds = performance.now() - start;
    swapped.dispose();
    yield {
      name,
      allowedShare: allowedShare(seen, { heads, queryRows: maxLength, keyLength: maxLength }),
      validationLoss: loss,
      milliseconds,
      picture: draw(seen, { queryLength: maxLength, heads, columns: 32 }),
    };
  }
}
