import { createKeyValueCache } from "@heddle/attention";
import { HeddleError, activeBackend, chooseToken, randomStream, reject } from "@heddle/core";
import type { RandomStream } from "@heddle/core";
import type { Model } from "@heddle/models";
import type { Tensor } from "@tensorflow/tfjs-core";
import { createTurns } from "./event-loop.ts";
import { createPrefixReader } from "./prefix-reader.ts";
import { greedyToken, processLogits, sampleToken, temperatureOf } from "./sampling.ts";
import { planTokens } from "./token-options.ts";
import type { GenerateTokensOptions, TokenPlan } from "./token-options.ts";

/** One new token of each row. Shape: V vocabulary. */
export interface TokenStep {
  /** Number of this token among the new ones, from 0. */
  readonly index: number;
  /** The token of each row, the one that ends it included; null for a row that ended before. */
  readonly ids: readonly (number | null)[];
  /**
   * The model's logits [V] that each was chosen from, before any change, where `outputLogits` asked for them; null for a
   * row that ended before.
   */
  readonly logits?: readonly (Float32Array | null)[];
}

/** What was said so far, as the choice of the next token needs it. */
interface Row {
  readonly tokens: number[];
  readonly seen: Set<number>;
  ended: boolean;
}

/** The tokens of some rows, and with `outputLogits` what they were chosen from. */
interface Choice {
  readonly ids: readonly number[];
  readonly logits?: readonly Float32Array[];
}

function rejectLogits(plan: TokenPlan, row: number, said: Row, logits: Float32Array): never {
  const wrong = logits.findIndex((logit) => !Number.isFinite(logit));
  reject(
    `generate: logits of new token ${said.tokens.length - plan.rows[row]!.length}, row ${row}`,
    "be finite",
    `${logits[wrong]} for id ${wrong}`,
    "not-finite",
  );
}

async function rowsOf(logits: Tensor): Promise<Float32Array[]> {
  const values = await logits.data<"float32">();
  const [rows, size] = logits.shape as [number, number];
  return Array.from({ length: rows }, (_, r) => values.subarray(r * size, (r + 1) * size));
}

/**
 * Chooses where the logits are, so that a device gives away no more than the ids, unless something is wanted that only
 * the values can tell.
 */
async function choose(
  logits: Tensor,
  places: readonly number[],
  { plan, rows, random }: { plan: TokenPlan; rows: readonly Row[]; random: RandomStream },
): Promise<Choice> {
  const { sampling, idsBelow, outputLogits } = plan;
  const { topK, topP = 1, repetitionPenalty = 1 } = sampling;
  const temperature = temperatureOf(sampling);
  const going = (row: number): boolean => !rows[row]!.ended;
  if (topP < 1 || repetitionPenalty !== 1 || outputLogits) {
    const all = await rowsOf(logits);
    const ids = places.map((row, i) => {
      if (!going(row)) return -1;
      const values = all[i]!;
      if (!values.every(Number.isFinite)) rejectLogits(plan, row, rows[row]!, values);
      const processed = processLogits(values.subarray(0, idsBelow), rows[row]!.seen, sampling);
      return temperature === 0 ? greedyToken(processed) : sampleToken(processed, random.uniform(row));
    });
    return { ids, ...(outputLogits && { logits: all }) };
  }
  const draw = temperature > 0 && {
    temperature,
    ...(topK !== undefined && { topK }),
    places: places.map((row) => random.uniform(row)),
  };
  const chosen = chooseToken({ logits, idsBelow, ...(draw && { draw }) });
  try {
    const ids = [...(await chosen.data<"int32">())];
    const wrong = ids.findIndex((id, i) => id < 0 && going(places[i]!));
    if (wrong >= 0) rejectLogits(plan, places[wrong]!, rows[places[wrong]!]!, (await rowsOf(logits))[wrong]!);
    return { ids };
  } finally {
    chosen.dispose();
  }
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
      const random = randomStream({ seed, path: "generate", step: index });
      const ids: (number | null)[] = rows.map(() => null);
      const logits: (Float32Array | null)[] = rows.map(() => null);
      await read(
        rows.map(({ tokens, ended }) => (ended ? null : tokens)),
        async (rowLogits, places) => {
          const choice = await choose(rowLogits, places, { plan, rows, random });
          for (const [i, row] of places.entries()) {
            if (rows[row]!.ended) continue;
            ids[row] = choice.ids[i]!;
            logits[row] = choice.logits?.[i] ?? null;
          }
        },
      );
      backend?.checkErrors();
      signal?.throwIfAborted();
      for (const [r, id] of ids.entries()) {
        if (id === null) continue;
        const row = rows[r]!;
        row.tokens.push(id);
        row.seen.add(id);
        row.ended = endIds.has(id);
      }
      yield { index, ids, ...(plan.outputLogits && { logits }) };
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
