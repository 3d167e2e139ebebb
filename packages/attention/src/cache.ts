import * as tf from "@tensorflow/tfjs-core";
import type { Tensor } from "@tensorflow/tfjs-core";
import {
  HeddleError,
  checkFields,
  checkFloatsOf,
  checkInteger,
  reject,
  run,
  withoutTape,
} from "@heddle/core";
import { cacheWriteOperation } from "./cache-write.ts";

/** What `LayerCache.append` gives to the attention operation. */
export interface CachedKeys {
  /** [B, G, C, D], the first `keyLength` of C slots filled; owned by the cache. */
  readonly k: Tensor;
  readonly v: Tensor;
  readonly queryOffset: readonly number[];
  readonly keyLength: number;
}

/** The part of a cache that belongs to one attention layer. */
export interface LayerCache {
  /** Writes the keys and values of new tokens behind those held. [B, G, L, D] each. */
  append(k: Tensor, v: Tensor): CachedKeys;
}

/** Size of a cache. */
export interface KeyValueCacheOptions {
  /** Attention layers. */
  readonly layers: number;
  /** Rows of a batch. @default 1 */
  readonly batch?: number;
  /** Greatest number of tokens a row. */
  readonly capacity: number;
}

/**
 * Keys and values of the tokens seen so far, so that a new token costs one pass over them. Its buffers are made when
 * they are first written, then written in place; the one who made the cache frees it.
 */
export interface KeyValueCache {
  readonly layers: number;
  readonly batch: number;
  readonly capacity: number;
  /** Tokens held, for each batch row. */
  readonly lengths: readonly number[];
  /** Bytes of the buffers. */
  readonly bytes: number;
  layer(index: number): LayerCache;
  /**
   * Counts tokens that every layer has appended since the last call of this or of `truncate`: one number for all rows,
   * or one a row (ragged prompts). More than that are refused.
   */
  advance(tokens: number | readonly number[]): void;
  /** Forgets the tokens from a position on, of every row or of each: the prompt before it can be used again. */
  truncate(length: number | readonly number[]): void;
  /** Frees the buffers. */
  dispose(): void;
}

/** What a cache holds for one layer. */
interface LayerBuffers {
  k: Tensor | null;
  v: Tensor | null;
  /** Tokens written behind those held, which are not counted yet. */
  written: number;
}

const perRow = (value: number | readonly number[], batch: number, where: string): readonly number[] => {
  const values = typeof value === "number" ? Array.from({ length: batch }, () => value) : value;
  if (!Array.isArray(values) || values.length !== batch)
    reject(where, `be a number or hold ${batch}, one a batch row`, value);
  return values;
};

/**
 * An empty cache.
 * @throws HeddleError for sizes that are no positive integers. Its methods throw `invalid-argument` when a row
 * would hold more than `capacity` tokens, and `invalid-state` after `dispose`.
 */
export function createKeyValueCache(options: KeyValueCacheOptions): KeyValueCache {
  checkFields("createKeyValueCache: options", options, ["layers", "batch", "capacity"]);
  const { layers, batch = 1, capacity } = options;
  checkInteger("createKeyValueCache: layers", layers, { min: 1 });
  checkInteger("createKeyValueCache: batch", batch, { min: 1 });
  checkInteger("createKeyValueCache: capacity", capacity, { min: 1 });
  let lengths: readonly number[] = Array.from({ length: batch }, () => 0);
  let disposed = false;
  const buffers = Array.from({ length: layers }, (): LayerBuffers => ({ k: null, v: null, written: 0 }));

  const alive = (): void => {
    if (disposed)
      throw new HeddleError("invalid-state", "KeyValueCache: must not be used after it was disposed");
  };
  /** What was written behind the old ends is not behind the new ones. */
  const moveTo = (ends: readonly number[]): void => {
    lengths = ends;
    for (const own of buffers) own.written = 0;
  };
  const write = (held: Tensor | null, rows: Tensor): Tensor => {
    const [, heads, , width] = rows.shape as [number, number, number, number];
    const buffer = held ?? tf.keep(tf.zeros([batch, heads, capacity, width]));
    let written: Tensor;
    try {
      written = withoutTape(() => run(cacheWriteOperation, { buffer, rows, slots: lengths }));
    } catch (error) {
      if (!held) buffer.dispose();
      throw error;
    }
    if (written === buffer) return buffer;
    buffer.dispose();
    return tf.keep(written);
  };
  return {
    layers,
    batch,
    capacity,
    get lengths() {
      return lengths;
    },
    get bytes() {
      return buffers.reduce((sum, { k, v }) => sum + 4 * ((k?.size ?? 0) + (v?.size ?? 0)), 0);
    },
    layer(index) {
      checkInteger("KeyValueCache: layer", index, { min: 0, max: layers - 1 });
      const own = buffers[index]!;
      return {
        append(k, v) {
          alive();
          checkFloatsOf("KeyValueCache: k", k, [
            batch,
            own.k?.shape[1] ?? null,
            null,
            own.k?.shape[3] ?? null,
          ]);
          const [, heads, added] = k.shape as [number, number, number, number];
          checkFloatsOf("KeyValueCache: v", v, [batch, heads, added, own.v?.shape[3] ?? null]);
          const greatest = Math.max(...lengths) + added;
          if (greatest > capacity)
            reject("KeyValueCache: tokens", `be at most the capacity of ${capacity}`, greatest);
          own.written = 0;
          own.k = write(own.k, k);
          own.v = write(own.v, v);
          own.written = added;
          return { k: own.k, v: own.v, queryOffset: lengths, keyLength: greatest };
        },
      };
    },
    advance(tokens) {
      alive();
      const counts = perRow(tokens, batch, "KeyValueCache: advance");
      const written = Math.min(...buffers.map((own) => own.written));
      for (const count of counts) {
        checkInteger("KeyValueCache: advance", count, { min: 0 });
        if (count > written)
          reject(
            "KeyValueCache: advance",
            `be at most the ${written} tokens that every layer has appended`,
            count,
          );
      }
      moveTo(lengths.map((length, row) => length + counts[row]!));
    },
    truncate(length) {
      alive();
      const ends = perRow(length, batch, "KeyValueCache: truncate");
      lengths.forEach((held, row) =>
        checkInteger("KeyValueCache: truncate", ends[row]!, { min: 0, max: held }),
      );
      moveTo([...ends]);
    },
    dispose() {
      for (const own of buffers) {
        own.k?.dispose();
        own.v?.dispose();
        own.k = own.v = null;
      }
      disposed = true;
    },
  };
}
