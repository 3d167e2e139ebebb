import { createKeyValueCache } from "@heddle/attention";
import { HeddleError, activeBackend, randomStream, reject } from "@heddle/core";
import type { RandomStream } from "@heddle/core";
import type { Model } from "@heddle/models";
import { createTurns } from "./event-loop.ts";
import { createPrefixReader } from "./prefix-reader.ts";
import type { RowLogits } from "./prefix-reader.ts";
import { greedyToken, processLogits, sampleToken, temperatureOf } from "./sampling.ts";
import { planTokens } from "./token-options.ts";
import type { GenerateTokensOptions, TokenPlan } from "./token-options.ts";

/** One new token of each row. Shape: V vocabulary. */
export interface TokenStep {
  /** Number of this token among the new ones, from 0. */
  readonly index: number;
  /** The token of each row, the one that ends it included; null for a row that ended before. */
  readonly ids: readonly (number | null)[];
  /** The model's logits [V] that each was chosen from, before any change; null for a row that ended before. */
  readonly logits: RowLogits;
}

/** What was said so far, as the choice of the next token needs it. */
interface Row {
  readonly tokens: number[];
  readonly seen: Set<number>;
  ended: boolean;
}

function choose(logits: Float32Array, row: number, said: Row, plan: TokenPlan, random: RandomStream): number {
  const wrong = logits.findIndex((logit) => !Number.isFinite(logit));
  if (wrong >= 0)
    reject(
      `generate: logits of new token ${said.tokens.length - plan.rows[row]!.length}, row ${row}`,
      "be finite",
      `${logits[wrong]} for id ${wrong}`,
      "not-finite",
    );
  const processed = processLogits(logits.subarray(0, plan.idsBelow), said.seen, plan.sampling);
  return temperatureOf(plan.sampling) === 0
    ? greedyToken(processed)
    : sampleToken(processed, random.uniform(row));
}

async function* steps(model: Model, plan: TokenPlan): AsyncGenerator<TokenStep, void, undefined> {
  const { maxNewTokens, seed, contextLength, endIds, signal } = plan;
  const backend = activeBackend();
  const rows = plan.rows.map((ids): Row => ({ tokens: [...ids], seen: new Set(ids), ended: false }));
  const { cache } = plan;
  const own =
    cache && !("layer" in cache)
      ? createKeyValueCache({ layers: model.config.layers, batch: rows.length, capacity: cache.capacity })
      : undefined;
  const read = createPrefixReader({
    model,
    contextLength,
    cache: cache && "layer" in cache ? cache : own,
  });
  const takeTurns = createTurns();
  try {
    for (let index = 0; index < maxNewTokens && rows.some(({ ended }) => !ended); index++) {
      await takeTurns();
      signal?.throwIfAborted();
      if (activeBackend() !== backend)
        throw new HeddleError(
          "invalid-state",
          `generate: backend must stay ${backend?.name ?? "the same"} until the end, got ${activeBackend()?.name}`,
        );
      const logits = await read(rows.map(({ tokens, ended }) => (ended ? null : tokens)));
      backend?.checkErrors();
      signal?.throwIfAborted();
      const random = randomStream({ seed, path: "generate", step: index });
      const ids = logits.map((values, r) => values && choose(values, r, rows[r]!, plan, random));
      for (const [r, id] of ids.entries()) {
        if (id === null) continue;
        const row = rows[r]!;
        row.tokens.push(id);
        row.seen.add(id);
        row.ended = endIds.has(id);
      }
      yield { index, ids, logits };
    }
  } finally {
    own?.dispose();
  }
}

/**
 * New tokens for one prompt or a batch of prompts of any lengths, one step at a time. Greedy unless `temperature`,
 * `topK` or `topP` ask for sampling. The random number of a token depends on seed, row and its index alone. Leaving the
 * loop frees what was allocated.
 *
 * @throws HeddleError At the call, before anything is computed: `invalid-argument` for an option out of its range, a prompt
 * without tokens or with ids outside the vocabulary, or one that does not fit with `maxNewTokens`; `unsupported` for an
 * encoder. From a step: `not-finite` for logits with NaN, `invalid-state` when the backend or the cache was changed
 * meanwhile, and the signal's reason.
 */
export function generateTokens(
  model: Model,
  options: GenerateTokensOptions,
): AsyncGenerator<TokenStep, void, undefined> {
  return steps(model, planTokens(model, options));
}
