import type { KeyValueCache } from "@heddle/attention";
import { HeddleError, checkFields, checkInteger, checkOneOf, checkSignal, reject } from "@heddle/core";
import type { Model } from "@heddle/models";
import { checkSampling, samplingFields } from "./sampling.ts";
import type { SamplingOptions } from "./sampling.ts";

/** Settings of `generateTokens`, and of `generate`. */
export interface GenerationOptions extends SamplingOptions {
  /** Greatest number of new tokens, 1 or more. */
  readonly maxNewTokens: number;
  /** Seed of the sampling; the same one gives the same tokens on one backend. @default 0 */
  readonly seed?: number;
  /**
   * Keys and values of the tokens so far. `true` keeps them where the model can (`model.cacheable`); `false` computes
   * all tokens again for each new one, with the same result. A cache of your own must hold nothing but the beginning of
   * the prompt, which is then not computed again; it stays yours and holds prompt and new text afterwards (all but the
   * last token). @default true
   */
  readonly cache?: boolean | KeyValueCache;
  /** The model sees at most so many tokens; more than `maxLength` makes sense where positions are not learned. @default model.config.maxLength */
  readonly contextLength?: number;
  /**
   * When prompt and new tokens do not fit into the context: `refuse` throws before anything is computed; `slide` lets
   * the model see the last `contextLength` tokens only, which from there on are all computed for each new token.
   * @default "refuse"
   */
  readonly whenFull?: "refuse" | "slide";
  /** Ends the generation: the next step throws the signal's reason. */
  readonly signal?: AbortSignal;
}

/** What `generateTokens` takes. */
export interface GenerateTokensOptions extends GenerationOptions {
  /** Prompt of one row, or of each; rows may differ in length, and need no padding. */
  readonly ids: readonly number[] | readonly (readonly number[])[];
  /** A row ends with the first of these. @default none */
  readonly endIds?: readonly number[];
  /** Only ids below this are chosen. @default the model's vocabulary */
  readonly idsBelow?: number;
  /** Whether each step has the logits, which a device then gives away for every token. @default false */
  readonly outputLogits?: boolean;
}

/** Checked options, with their defaults. */
export interface TokenPlan {
  readonly rows: readonly (readonly number[])[];
  readonly maxNewTokens: number;
  readonly sampling: SamplingOptions;
  readonly seed: number;
  readonly contextLength: number;
  /** The caller's cache, or the room that one needs; absent when all is computed each time. */
  readonly cache?: KeyValueCache | { readonly capacity: number };
  readonly endIds: ReadonlySet<number>;
  readonly idsBelow: number;
  readonly outputLogits: boolean;
  readonly signal?: AbortSignal | undefined;
}

const where = "generate";

/** The settings that `generate` and `generateTokens` share. */
export const generationFields: readonly (keyof GenerationOptions | "endIds")[] = [
  ...samplingFields,
  "maxNewTokens",
  "seed",
  "cache",
  "contextLength",
  "whenFull",
  "signal",
  "endIds",
];

/** @throws HeddleError `invalid-argument` for what is no model. */
export function checkModel(model: Model): void {
  if (typeof model?.forward !== "function")
    reject(`${where}: model`, "be a model, gpt(…) for example", model);
}

function checkRows(ids: GenerateTokensOptions["ids"], vocabulary: number): readonly (readonly number[])[] {
  if (!Array.isArray(ids)) reject(`${where}: ids`, "be a list of token ids, or of such lists", ids);
  if (ids.length === 0) reject(`${where}: ids`, "hold at least one token", ids);
  const rows = (Array.isArray(ids[0]) ? ids : [ids]) as readonly (readonly number[])[];
  for (const [r, row] of rows.entries()) {
    if (!Array.isArray(row) || row.length === 0)
      reject(`${where}: ids[${r}]`, "be a list of at least one token id", row);
    for (const [i, id] of row.entries())
      if (!Number.isInteger(id) || id < 0 || id >= vocabulary)
        reject(`${where}: ids[${r}][${i}]`, `be from 0 to ${vocabulary - 1}, the vocabulary's last id`, id);
  }
  return rows;
}

function checkCache(
  model: Model,
  cache: KeyValueCache,
  rows: readonly (readonly number[])[],
  capacity: number,
): void {
  if (!model.cacheable)
    throw new HeddleError(
      "unsupported",
      `${where}: cache must not be given to a model whose attention does not work with one: leave it out`,
    );
  if (cache.batch !== rows.length)
    reject(`${where}: cache`, `have ${rows.length} rows, as the ids`, cache.batch);
  if (cache.layers !== model.config.layers)
    reject(`${where}: cache`, `have ${model.config.layers} layers, as the model`, cache.layers);
  if (cache.capacity < capacity)
    reject(`${where}: cache`, `have a capacity of ${capacity} tokens or more`, cache.capacity);
  for (const [r, row] of rows.entries())
    if (cache.lengths[r]! > row.length)
      reject(
        `${where}: cache`,
        `hold at most the ${row.length} tokens of prompt ${r} (truncate it to what they share)`,
        cache.lengths[r],
      );
}

/** @throws HeddleError that names the option. */
export function planTokens(model: Model, options: GenerateTokensOptions): TokenPlan {
  checkModel(model);
  const { family, decoder, config, cacheable } = model;
  if (!decoder)
    throw new HeddleError(
      "unsupported",
      `${where}: model must be a decoder, such as gpt, got ${family}, whose tokens see those after them`,
    );
  checkFields(`${where}: options`, options, [...generationFields, "ids", "idsBelow", "outputLogits"]);
  const {
    maxNewTokens,
    seed = 0,
    cache = true,
    signal,
    endIds = [],
    idsBelow = config.vocabularySize,
    outputLogits = false,
  } = options;
  const { contextLength = config.maxLength, whenFull = "refuse" } = options;
  checkSignal(`${where}: signal`, signal);
  const rows = checkRows(options.ids, config.vocabularySize);
  checkInteger(`${where}: maxNewTokens`, maxNewTokens, { min: 1 });
  const sampling: SamplingOptions = Object.fromEntries(
    samplingFields.map((field) => [field, options[field]]),
  );
  checkSampling(where, sampling);
  checkInteger(`${where}: seed`, seed, { min: 0 });
  if (contextLength !== Infinity) checkInteger(`${where}: contextLength`, contextLength, { min: 1 });
  checkOneOf(`${where}: whenFull`, whenFull, ["refuse", "slide"]);
  checkInteger(`${where}: idsBelow`, idsBelow, { min: 1, max: config.vocabularySize });
  checkOneOf(`${where}: outputLogits`, outputLogits, [true, false]);
  if (!Array.isArray(endIds)) reject(`${where}: endIds`, "be a list of token ids", endIds);
  for (const id of endIds) checkInteger(`${where}: endIds`, id, { min: 0, max: config.vocabularySize - 1 });

  // The last new token is given out, not seen.
  const longest = Math.max(...rows.map(({ length }) => length));
  const seen = longest + maxNewTokens - 1;
  if (whenFull === "refuse" && seen > contextLength)
    reject(
      `${where}: prompt and maxNewTokens`,
      `fit into the context of ${contextLength} tokens (use fewer, or whenFull: "slide")`,
      `${longest} + ${maxNewTokens}`,
    );
  const capacity = Math.min(seen, contextLength);
  if (typeof cache !== "boolean") {
    if (typeof cache?.layer !== "function")
      reject(`${where}: cache`, "be true, false or a KeyValueCache", cache);
    checkCache(model, cache, rows, capacity);
  }
  const kept = cache === true ? (cacheable ? { capacity } : undefined) : cache || undefined;
  return {
    rows,
    maxNewTokens,
    sampling,
    seed,
    contextLength,
    ...(kept && { cache: kept }),
    endIds: new Set(endIds),
    idsBelow,
    outputLogits,
    signal,
  };
}
