/** Runs the model over the tokens so far, with a cache or without. Shapes: B batch, V vocabulary. */
import type { KeyValueCache } from "@heddle/attention";
import { HeddleError, show } from "@heddle/core";
import type { Model, ModelInputs } from "@heddle/models";
import type { Tensor } from "@tensorflow/tfjs-core";

/** The tokens of each row so far; null for a row that has ended. */
export type Rows = readonly (readonly number[] | null)[];

/**
 * Takes the logits [n, V] of n rows, freed when it is done.
 * @param places Which row each is; some may have ended.
 */
export type LogitsTaker = (logits: Tensor, places: readonly number[]) => Promise<void>;

export interface PrefixReaderOptions {
  readonly model: Model;
  /** The model sees only the last so many tokens of a row. */
  readonly contextLength: number;
  /** Without one, each call computes all tokens again. */
  readonly cache?: KeyValueCache | undefined;
}

/** Hands over the logits that follow each row. The rows of one call go on where those of the call before ended. */
export type PrefixReader = (rows: Rows, take: LogitsTaker) => Promise<void>;

/** Takes the logits of the last token of each row of one pass, [B, V]. */
async function lastLogits(
  model: Model,
  inputs: ModelInputs,
  take: (logits: Tensor) => Promise<void>,
  cache?: KeyValueCache,
): Promise<void> {
  const output = model.forward(inputs, { logits: "last", ...(cache && { cache }) });
  try {
    if (!output.logits)
      throw new HeddleError("unsupported", `generate: model must have logits, and ${model.family} has none`);
    await take(output.logits);
  } finally {
    output.dispose();
  }
}

/**
 * Rows of one length make one pass, without padding: attention that depends on the length then gives a row what it
 * gives it alone.
 */
function uncached({ model, contextLength }: PrefixReaderOptions): PrefixReader {
  return async (rows, take) => {
    const groups = new Map<number, number[]>();
    for (const [at, row] of rows.entries()) {
      if (!row) continue;
      const length = Math.min(row.length, contextLength);
      groups.set(length, [...(groups.get(length) ?? []), at]);
    }
    for (const places of groups.values()) {
      const ids = places.map((at) => rows[at]!.slice(-contextLength));
      await lastLogits(model, { ids }, (logits) => take(logits, places));
    }
  };
}

/** One pass over the tokens that the cache does not hold, rows padded on the right. */
function paddedInputs(pending: readonly (readonly number[])[], held: readonly number[]): ModelInputs {
  const length = Math.max(...pending.map((ids) => ids.length));
  const places = Array.from({ length }, (_, i) => i);
  const ids = pending.map((row) => places.map((i) => row[i] ?? 0));
  if (pending.every((row) => row.length === length)) return { ids };
  return {
    ids,
    attentionMask: pending.map((row) => places.map((i) => (i < row.length ? 1 : 0))),
    // Padding takes the place of the row's last token, held or pending: places behind it may be more than the model has.
    positionIds: pending.map((row, r) =>
      places.map((i) => Math.max(held[r]! + Math.min(i, row.length - 1), 0)),
    ),
  };
}

function cached({ model, contextLength }: PrefixReaderOptions, cache: KeyValueCache): PrefixReader {
  // Where in its row the first token stands that the cache holds.
  let starts = cache.lengths.map(() => 0);
  let expected = cache.lengths;
  return async (rows, take) => {
    if (cache.lengths.some((length, r) => length !== expected[r]))
      throw new HeddleError(
        "invalid-state",
        `generate: cache must hold ${show(expected)} tokens, as this generation left it, got ${show(cache.lengths)}`,
      );
    const next = rows.map((row, r) => (row ? Math.max(0, row.length - contextLength) : starts[r]!));
    let held = rows.map((row, r) => {
      // A view that moved gives each token another position.
      if (next[r] !== starts[r]) return 0;
      // The last token is computed again where the cache holds all: its logits are needed.
      return row ? Math.min(cache.lengths[r]!, row.length - next[r]! - 1) : cache.lengths[r]!;
    });
    starts = next;
    const pendingOf = (): (readonly number[])[] =>
      rows.map((row, r) => row?.slice(next[r]! + held[r]!) ?? []);
    let pending = pendingOf();
    const longest = Math.max(...pending.map((ids) => ids.length));
    // Rows are written side by side, so that a long rest of one row needs room in all.
    if (Math.max(...held) + longest > cache.capacity) {
      held = held.map(() => 0);
      pending = pendingOf();
    }
    cache.truncate(held);
    await lastLogits(model, paddedInputs(pending, held), (logits) => take(logits, [...rows.keys()]), cache);
    expected = cache.lengths;
  };
}

/** A reader that keeps keys and values where it has a cache, and computes all tokens each time where it has none. */
export function createPrefixReader(options: PrefixReaderOptions): PrefixReader {
  return options.cache ? cached(options, options.cache) : uncached(options);
}
