import { checkFields, checkInteger, randomStream, reject } from "@heddle/core";
import { drawPlace } from "./draw-place.ts";
import { hashIntegers } from "./hash.ts";
import type { Batch, BatchList, BatchSource } from "./trainable.ts";

/** Rows of token ids, as models read them. */
export interface TokenRows {
  readonly ids: readonly (readonly number[])[];
}

/** A batch whose labels are the tokens that follow. */
export type TokenBatch = Batch<TokenRows>;

export interface TokenWindowsOptions {
  /** Tokens a window. */
  readonly length: number;
  /** Windows a batch. */
  readonly batch: number;
  /** @default 0 */
  readonly seed?: number;
}

/** The ids as int32, checked to hold a window and the token after it. */
function corpus(where: string, ids: Int32Array | readonly number[], length: number): Int32Array {
  checkInteger(`${where}: length`, length, { min: 1 });
  if (!(ids instanceof Int32Array) && !Array.isArray(ids))
    reject(`${where}: ids`, "be an Int32Array or a list of token ids", ids);
  if (!(ids instanceof Int32Array))
    ids.forEach((id, at) => checkInteger(`${where}: ids[${at}]`, id, { min: 0, max: 2 ** 31 - 1 }));
  if (ids.length < length + 1)
    reject(
      `${where}: ids`,
      `hold at least ${length + 1} tokens, a window and the token after it`,
      ids.length,
    );
  return ids instanceof Int32Array ? ids : Int32Array.from(ids);
}

/** Windows that begin at these places, each with the tokens that follow. */
function windows(ids: Int32Array, starts: readonly number[], length: number): TokenBatch {
  const labels = new Int32Array(starts.length * length);
  const rows = starts.map((start, row) => {
    labels.set(ids.subarray(start + 1, start + 1 + length), row * length);
    return Array.from(ids.subarray(start, start + length));
  });
  return { inputs: { ids: rows }, labels };
}

/**
 * Windows at random places of a text, for language modelling, as nanoGPT draws them.
 * @throws HeddleError for a text that is empty or shorter than a window and one token.
 */
export function tokenWindows(
  ids: Int32Array | readonly number[],
  options: TokenWindowsOptions,
): BatchSource<TokenBatch> {
  checkFields("tokenWindows: options", options, ["length", "batch", "seed"]);
  const { length, batch, seed = 0 } = options;
  checkInteger("tokenWindows: batch", batch, { min: 1 });
  checkInteger("tokenWindows: seed", seed, { min: 0 });
  const text = corpus("tokenWindows", ids, length);
  return {
    options: { kind: "token-windows", length, batch, seed, tokens: text.length, hash: hashIntegers(text) },
    at(step, micro) {
      const stream = randomStream({ seed, path: "tokenWindows", step });
      const starts = Array.from({ length: batch }, (_, row) =>
        drawPlace(stream, micro * batch + row, text.length - length),
      );
      return windows(text, starts, length);
    },
  };
}

/** A text from beginning to end, window by window: each token but the first is a label once. The last batch is shorter. */
export function sequentialWindows(
  ids: Int32Array | readonly number[],
  options: Omit<TokenWindowsOptions, "seed">,
): BatchList<TokenBatch> {
  checkFields("sequentialWindows: options", options, ["length", "batch"]);
  const { length, batch } = options;
  checkInteger("sequentialWindows: batch", batch, { min: 1 });
  const text = corpus("sequentialWindows", ids, length);
  const whole = Math.floor((text.length - 1) / length);
  const rest = (text.length - 1) % length;
  const batches = Math.ceil(whole / batch);
  const count = batches + (rest > 0 ? 1 : 0);
  return {
    count,
    at(index) {
      checkInteger("sequentialWindows: at: index", index, { min: 0, max: count - 1 });
      if (index === batches) return windows(text, [whole * length], rest);
      const first = index * batch;
      const rows = Math.min(batch, whole - first);
      const starts = Array.from({ length: rows }, (_, row) => (first + row) * length);
      return windows(text, starts, length);
    },
  };
}
