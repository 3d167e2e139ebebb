import { allows, evaluateNumber, lookupNodes } from "@heddle/attention";
import type { AttentionCall, NumberNode, PairAttributes, PairContext } from "@heddle/attention";
import { dropoutMask } from "@heddle/core";

/** Numbers with a shape, row-major, in double precision. */
export interface PlainTensor {
  readonly shape: readonly [number, number, number, number];
  readonly values: Float64Array;
}

/** A score modifier over plain tables. */
export interface PlainModifier {
  readonly score: NumberNode;
  /** [B|1, H|1, Lq|1, n] by name. */
  readonly tables?: Readonly<Record<string, PlainTensor>>;
}

/** A call of the attention operation over plain numbers. */
export interface PlainAttentionCall extends Omit<AttentionCall, "q" | "k" | "v" | "modifiers"> {
  readonly q: PlainTensor;
  readonly k: PlainTensor;
  readonly v: PlainTensor;
  readonly modifiers?: readonly PlainModifier[];
}

/** Where row (b, h, i) of a tensor starts; sizes of 1 serve every index. */
function rowStart(
  { shape: [batch, heads, rows, width] }: PlainTensor,
  b: number,
  h: number,
  i: number,
): number {
  const at = (index: number, size: number): number => (size === 1 ? 0 : index);
  return ((at(b, batch) * heads + at(h, heads)) * rows + at(i, rows)) * width;
}

function attributesOf(
  { attributes = {} }: PlainAttentionCall,
  b: number,
  i: number,
  j: number,
): PairAttributes {
  const { batch = 1 } = attributes;
  const side = (name: "query" | "key", token: number): Record<string, number> =>
    Object.fromEntries(
      Object.entries(attributes[name] ?? {}).map(([key, values]) => [
        key,
        values[(batch === 1 ? 0 : b) * (values.length / batch) + token]!,
      ]),
    );
  return { query: side("query", i), key: side("key", j) };
}

/** What `plainAttention` gives: [B, H, Lq, E] and, before dropout, [B, H, Lq, keyLength]. */
export interface PlainAttention {
  readonly output: Float64Array;
  readonly probabilities: Float64Array;
}

/** One pair of a query and a key that the pattern allows. */
interface AllowedPair extends PairContext {
  readonly key: number;
}

/**
 * Attention by its definition, pair by pair, with loops in double precision and the plain walks of the expression
 * trees: shares no code with the operation or its kernels. The pairs are found once; the function that comes back
 * reads the numbers of q, k, v and the tables each time that it is called.
 */
export function preparePlainAttention(call: PlainAttentionCall): () => PlainAttention {
  const { q, k, v, pattern, modifiers = [], dropout, queryOffset = 0 } = call;
  const [batch, heads, rows, width] = q.shape;
  const [, keyHeads, keyCount] = k.shape;
  const valueWidth = v.shape[3];
  const { keyLength = keyCount, scale = 1 / Math.sqrt(width) } = call;
  const names = modifiers.map(({ score }) => [...new Set(lookupNodes(score).map(({ table }) => table))]);
  const kept = dropout && dropoutMask(batch * heads * rows * keyLength, dropout.rate, dropout.address);

  const rowsOfPairs: AllowedPair[][] = [];
  for (let b = 0; b < batch; b++)
    for (let head = 0; head < heads; head++)
      for (let i = 0; i < rows; i++) {
        const offset = typeof queryOffset === "number" ? queryOffset : queryOffset[b]!;
        const pairs = Array.from({ length: keyLength }, (_, key) => ({
          query: offset + i,
          key,
          head,
          queryLength: offset + rows,
          keyLength,
          attributes: attributesOf(call, b, i, key),
        }));
        rowsOfPairs.push(pairs.filter((pair) => allows(pattern, { ...pair, heads })));
      }

  const scoreOf = (pair: AllowedPair, b: number, head: number, i: number): number => {
    const queryStart = rowStart(q, b, head, i);
    const keyStart = rowStart(k, b, Math.floor((head * keyHeads) / heads), pair.key);
    let score = 0;
    for (let d = 0; d < width; d++) score += q.values[queryStart + d]! * k.values[keyStart + d]!;
    score *= scale;
    for (const [m, { score: expression, tables = {} }] of modifiers.entries()) {
      const lookups = Object.fromEntries(
        names[m]!.map((name) => {
          const table = tables[name]!;
          const start = rowStart(table, b, head, i);
          return [name, table.values.subarray(start, start + table.shape[3])];
        }),
      );
      score = evaluateNumber(expression, { ...pair, score, lookups });
    }
    return score;
  };

  return () => {
    const output = new Float64Array(batch * heads * rows * valueWidth);
    const probabilities = new Float64Array(batch * heads * rows * keyLength);
    rowsOfPairs.forEach((pairs, row) => {
      const [b, head, i] = [Math.floor(row / (heads * rows)), Math.floor(row / rows) % heads, row % rows];
      const scores = pairs.map((pair) => scoreOf(pair, b, head, i));
      const greatest = Math.max(...scores);
      const exponentials = scores.map((score) => Math.exp(score - greatest));
      const sum = exponentials.reduce((total, exponential) => total + exponential, 0);
      for (const [at, { key }] of pairs.entries()) {
        const place = row * keyLength + key;
        const p = (probabilities[place] = exponentials[at]! / sum) * (kept ? kept[place]! : 1);
        const valueStart = rowStart(v, b, Math.floor((head * keyHeads) / heads), key);
        for (let e = 0; e < valueWidth; e++) {
          const to = row * valueWidth + e;
          output[to] = output[to]! + p * v.values[valueStart + e]!;
        }
      }
    });
    return { output, probabilities };
  };
}

/** `preparePlainAttention`, called once. */
export function plainAttention(call: PlainAttentionCall): PlainAttention {
  return preparePlainAttention(call)();
}

/** Central differences of `f` by each entry of `values`, which is restored; in double precision. */
export function finiteDifferences(f: () => number, values: Float64Array, step = 1e-5): Float64Array {
  return values.map((value, i) => {
    values[i] = value + step;
    const above = f();
    values[i] = value - step;
    const below = f();
    values[i] = value;
    return (above - below) / (2 * step);
  });
}
