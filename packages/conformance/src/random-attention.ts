import * as tf from "@tensorflow/tfjs-core";
import type { Tensor } from "@tensorflow/tfjs-core";
import type { AttentionCall, NumberNode, TokenAttributes } from "@heddle/attention";
import { randomStream } from "@heddle/core";
import type { PlainAttentionCall, PlainTensor } from "./plain-attention.ts";

/** Sizes of a call of the attention operation; heads a multiple of keyHeads. */
export interface AttentionSizes {
  readonly batch: number;
  readonly heads: number;
  readonly keyHeads: number;
  readonly queries: number;
  readonly keys: number;
  readonly width: number;
  readonly valueWidth: number;
}

/** A modifier whose tables are to be drawn, by shape. */
export interface DrawnModifier {
  readonly score: NumberNode;
  readonly tables?: Readonly<Record<string, readonly [number, number, number, number]>>;
}

/** The settings of a call that are no tensors. */
export type AttentionSettings = Omit<PlainAttentionCall, "q" | "k" | "v" | "modifiers">;

type Shape = PlainTensor["shape"];

/** Normal numbers, float32 values in double precision. */
export function drawTensor(shape: Shape, seed: number, path: string): PlainTensor {
  const size = shape.reduce((product, length) => product * length, 1);
  return { shape, values: Float64Array.from(randomStream({ seed, path }).normals(size)) };
}

/** A random call over plain numbers. */
export function drawAttention(
  sizes: AttentionSizes,
  settings: AttentionSettings,
  modifiers: readonly DrawnModifier[] = [],
  seed = 1,
): PlainAttentionCall {
  const { batch, heads, keyHeads, queries, keys, width, valueWidth } = sizes;
  return {
    ...settings,
    q: drawTensor([batch, heads, queries, width], seed, "q"),
    k: drawTensor([batch, keyHeads, keys, width], seed, "k"),
    v: drawTensor([batch, keyHeads, keys, valueWidth], seed, "v"),
    modifiers: modifiers.map(({ score, tables }, i) => ({
      score,
      tables: Object.fromEntries(
        Object.entries(tables ?? {}).map(([name, shape]) => [
          name,
          drawTensor(shape, seed, `modifiers[${i}].${name}`),
        ]),
      ),
    })),
  };
}

/** The plain tensors of a call, by the names of the operation's inputs. */
export function plainInputs({ q, k, v, modifiers = [] }: PlainAttentionCall): Record<string, PlainTensor> {
  const found: Record<string, PlainTensor> = { q, k, v };
  modifiers.forEach(({ tables = {} }, i) => {
    for (const [name, table] of Object.entries(tables)) found[`modifiers[${i}].${name}`] = table;
  });
  return found;
}

/** The same call over tensors of the active backend; the caller disposes `tensors`. */
export function tensorCall(plain: PlainAttentionCall): {
  call: AttentionCall;
  tensors: Record<string, Tensor>;
} {
  const tensors = Object.fromEntries(
    Object.entries(plainInputs(plain)).map(([name, { shape, values }]) => [
      name,
      tf.tensor(Float32Array.from(values), [...shape]),
    ]),
  );
  const { modifiers: drawn, ...settings } = plain;
  const modifiers = drawn?.map(({ score, tables = {} }, i) => ({
    kind: "modifier" as const,
    name: `modifier-${i}`,
    options: {},
    score,
    tables: Object.fromEntries(
      Object.keys(tables).map((name) => [name, tensors[`modifiers[${i}].${name}`]!]),
    ),
  }));
  const { q, k, v } = tensors;
  return { call: { ...settings, q: q!, k: k!, v: v!, ...(modifiers && { modifiers }) }, tensors };
}

/** Attributes that the named patterns read, drawn for a call: keep, document, global and prefix of each token. */
export function drawAttributes(batch: number, queries: number, keys: number, seed = 1): TokenAttributes {
  const side = (length: number, name: string): Record<string, Int32Array> => {
    const stream = randomStream({ seed, path: name });
    const values = (bound: number, path: number): Int32Array =>
      Int32Array.from({ length: batch * length }, (_, i) => stream.integer(path * batch * length + i, bound));
    return {
      keep: values(4, 0).map((value) => Math.min(value, 1)),
      document: values(3, 1),
      global: values(4, 2).map((value) => (value === 0 ? 1 : 0)),
      prefix: values(length + 1, 3),
    };
  };
  // Where queries are the last keys, both sides are the same tokens.
  const key = side(keys, "key");
  const query =
    queries > keys
      ? side(queries, "query")
      : Object.fromEntries(
          Object.entries(key).map(([name, values]) => [
            name,
            Int32Array.from(
              { length: batch * queries },
              (_, i) => values[Math.floor(i / queries) * keys + keys - queries + (i % queries)]!,
            ),
          ]),
        );
  return { batch, query, key };
}
