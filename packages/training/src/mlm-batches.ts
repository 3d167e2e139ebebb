import { checkFields, checkInteger, checkNumber, randomStream, reject } from "@heddle/core";
import { drawPlace } from "./draw-place.ts";
import { hashIntegers } from "./hash.ts";
import { IGNORED } from "./trainable.ts";
import type { Batch, BatchSource } from "./trainable.ts";

/** Rows of token ids of one length, with 0 where a row is padded. */
export interface MaskedRows {
  readonly ids: readonly (readonly number[])[];
  readonly attentionMask: readonly (readonly number[])[];
}

export interface MlmBatchesOptions {
  /** Rows a batch. */
  readonly batch: number;
  /** Number of token ids, of which any may stand in for a chosen token. */
  readonly vocabularySize: number;
  /** Id of `[MASK]`. */
  readonly maskId: number;
  /** Ids that are never chosen: `[CLS]`, `[SEP]`. */
  readonly specialIds: readonly number[];
  /** Id that fills up shorter rows. @default 0 */
  readonly padId?: number;
  /** Chance of a token to be chosen. @default 0.15 */
  readonly probability?: number;
  /** @default 0 */
  readonly seed?: number;
}

const optionFields = [
  "batch",
  "vocabularySize",
  "maskId",
  "specialIds",
  "padId",
  "probability",
  "seed",
] as const satisfies readonly (keyof MlmBatchesOptions)[];

/** Numbers drawn for each token: whether it is chosen, what becomes of it, and by which token. */
const DRAWS = 3;

/**
 * Masked language modelling, https://arxiv.org/abs/1810.04805 §3.1: random rows of a list, in which each token but the
 * special ones is chosen with a chance of 15 %; of the chosen ones 80 % become `[MASK]`, 10 % a random token of the
 * whole vocabulary, 10 % stay. Their labels are what they were; the others do not count. Where chance would choose no
 * token of a batch, the one that came nearest is chosen, since a step without labels cannot be done.
 *
 * @param rows Token ids with their special tokens.
 * @throws HeddleError for no row, an empty one, or an id outside the vocabulary.
 */
export function mlmBatches(
  rows: readonly (readonly number[])[],
  options: MlmBatchesOptions,
): BatchSource<Batch<MaskedRows>> {
  const where = "mlmBatches";
  checkFields(`${where}: options`, options, optionFields);
  const { batch, vocabularySize, maskId, specialIds, padId = 0, probability = 0.15, seed = 0 } = options;
  checkInteger(`${where}: batch`, batch, { min: 1 });
  checkInteger(`${where}: vocabularySize`, vocabularySize, { min: 1 });
  const checkId = (place: string, id: number): void =>
    checkInteger(`${where}: ${place}`, id, { min: 0, max: vocabularySize - 1 });
  checkId("maskId", maskId);
  checkId("padId", padId);
  checkNumber(`${where}: probability`, probability, { min: Number.MIN_VALUE, max: 1 });
  checkInteger(`${where}: seed`, seed, { min: 0 });
  if (!Array.isArray(specialIds)) reject(`${where}: specialIds`, "be a list of ids", specialIds);
  specialIds.forEach((id, at) => checkId(`specialIds[${at}]`, id));
  if (!(rows?.length > 0)) reject(`${where}: rows`, "hold at least one row", rows);
  rows.forEach((row, at) => {
    if (!(row?.length > 0)) reject(`${where}: rows[${at}]`, "hold at least one token", row);
    row.forEach((id, place) => checkId(`rows[${at}][${place}]`, id));
  });
  const special = new Set(specialIds);
  const longest = rows.reduce((length, row) => Math.max(length, row.length), 0);

  return {
    options: {
      kind: "mlm",
      batch,
      vocabularySize,
      maskId,
      specialIds: [...specialIds],
      padId,
      probability,
      seed,
      rows: rows.length,
      hash: hashIntegers(Int32Array.from(rows.flatMap((row) => [row.length, ...row]))),
    },
    at(step, micro) {
      const places = randomStream({ seed, path: "mlmBatches.rows", step });
      const draws = randomStream({ seed, path: "mlmBatches.tokens", step });
      const first = micro * batch;
      const chosen = Array.from(
        { length: batch },
        (_, row) => rows[drawPlace(places, first + row, rows.length)]!,
      );
      const length = chosen.reduce((most, row) => Math.max(most, row.length), 0);
      const labels = new Int32Array(batch * length).fill(IGNORED);
      const addressOf = (row: number, at: number): number => ((first + row) * longest + at) * DRAWS;
      const drawn = chosen.flatMap((ids, row) =>
        ids.flatMap((id, at) => (special.has(id) ? [] : [draws.uniform(addressOf(row, at))])),
      );
      const least = drawn.reduce((a, b) => Math.min(a, b), 1);
      const masked = (id: number, row: number, at: number): number => {
        const address = addressOf(row, at);
        const draw = draws.uniform(address);
        if (special.has(id) || (draw >= probability && draw > least)) return id;
        labels[row * length + at] = id;
        const fate = draws.uniform(address + 1);
        if (fate < 0.8) return maskId;
        return fate < 0.9 ? draws.integer(address + 2, vocabularySize) : id;
      };
      const padded = (values: readonly number[], filler: number): number[] =>
        Array.from({ length }, (_, at) => values[at] ?? filler);
      return {
        inputs: {
          ids: chosen.map((ids, row) =>
            padded(
              ids.map((id, at) => masked(id, row, at)),
              padId,
            ),
          ),
          attentionMask: chosen.map((row) =>
            padded(
              row.map(() => 1),
              0,
            ),
          ),
        },
        labels,
      };
    },
  };
}
