import * as tf from "@tensorflow/tfjs-core";
import type { Tensor } from "@tensorflow/tfjs-core";
import { drawAttention, largestDifference, plainAttention, useBackend } from "@heddle/conformance";
import type { BackendName, PlainAttentionCall, PlainTensor } from "@heddle/conformance";
import { differentiate, withKernels } from "@heddle/core";
import { describe, expect, it } from "vitest";
import { createKeyValueCache } from "./cache.ts";
import type { KeyValueCache, KeyValueCacheOptions } from "./cache.ts";
import { fromInteger, score, variables } from "./expression/builders.ts";
import { modifier } from "./expression/modifier.ts";
import { and, pattern } from "./expression/pattern.ts";
import type { AttentionPattern } from "./expression/tree.ts";
import { attention } from "./operation.ts";
import { bigBird } from "./patterns/big-bird.ts";
import { causal } from "./patterns/causal.ts";
import { dilated } from "./patterns/dilated.ts";
import { full } from "./patterns/full.ts";
import { prefix } from "./patterns/prefix.ts";
import { slidingWindow } from "./patterns/sliding-window.ts";
import { strided } from "./patterns/strided.ts";

const [batch, heads, keyHeads, length, width, valueWidth] = [2, 4, 2, 9, 3, 5] as const;
const backends: readonly BackendName[] = ["cpu", "wasm"];
const drawn = (pattern: AttentionPattern): PlainAttentionCall =>
  drawAttention({ batch, heads, keyHeads, queries: length, keys: length, width, valueWidth }, { pattern });

/** Tokens of a tensor [B, H, L, D], for each batch row from its own start. */
function tokens(
  { shape: [b, h, l, d], values }: PlainTensor,
  starts: readonly number[],
  count: number,
): Tensor {
  const part = new Float32Array(b * h * count * d);
  for (let row = 0; row < b * h; row++)
    for (let i = 0; i < count * d; i++)
      part[row * count * d + i] = values[row * l * d + starts[Math.floor(row / h)]! * d + i]!;
  return tf.tensor4d(part, [b, h, count, d]);
}

/** The next tokens through a layer of a cache, as [B, H, count, E] values. */
function pass(
  cache: KeyValueCache,
  { q, k, v, pattern }: PlainAttentionCall,
  starts: readonly number[],
  count: number,
  layer = 0,
): Float32Array {
  const call = { q: tokens(q, starts, count), k: tokens(k, starts, count), v: tokens(v, starts, count) };
  try {
    return tf
      .tidy(() => attention({ ...call, pattern, cache: cache.layer(layer) }).dataSync() as Float32Array)
      .slice();
  } finally {
    tf.dispose(call);
  }
}

/** Rows `start` to `start + count - 1` of the queries of one batch row, all heads. */
function rowsOf(output: ArrayLike<number>, all: number, b: number, start: number, count: number): number[] {
  return Array.from({ length: heads }, (_, head) =>
    Array.from(output).slice(
      ((b * heads + head) * all + start) * valueWidth,
      ((b * heads + head) * all + start + count) * valueWidth,
    ),
  ).flat();
}

function expectRows(
  found: ArrayLike<number>,
  expected: ArrayLike<number>,
  starts: readonly number[],
  count: number,
): void {
  starts.forEach((start, b) =>
    expect(
      largestDifference(rowsOf(found, count, b, 0, count), rowsOf(expected, length, b, start, count)),
      `row ${b} from ${start}`,
    ).toBeLessThan(1e-6),
  );
}

const patterns: readonly AttentionPattern[] = [
  causal(),
  and(causal(), slidingWindow({ before: 2 })),
  and(causal(), dilated({ window: { before: 2 }, dilation: [1, 2, 3, 2] })),
  and(causal(), strided({ stride: 3 })),
  and(causal(), bigBird({ block: 2, window: 1, global: 1, random: 1, seed: 5, direction: "past" })),
];

describe.each(backends)("KeyValueCache on %s", (backend) => {
  useBackend(backend);

  it.each(patterns.map((each) => [JSON.stringify(each.options), each] as const))(
    "decodes token by token what the whole pass gives: %s",
    (_, each) => {
      const plain = drawn(each);
      const { output } = plainAttention(plain);
      const cache = createKeyValueCache({ layers: 2, batch, capacity: length });
      for (const layer of [0, 1]) expectRows(pass(cache, plain, [0, 0], 3, layer), output, [0, 0], 3);
      cache.advance(3);
      for (let t = 3; t < length; t++) {
        for (const layer of [0, 1]) expectRows(pass(cache, plain, [t, t], 1, layer), output, [t, t], 1);
        cache.advance(1);
      }
      expect(cache.lengths).toEqual([length, length]);
      cache.dispose();
    },
  );

  it("sees all that is held and nothing behind it where the pattern looks ahead", () => {
    const plain = drawn(full());
    const seen = (end: readonly number[], b: number): Float64Array =>
      plainAttention({ ...plain, keyLength: end[b]! }).output;
    const cache = createKeyValueCache({ layers: 1, batch, capacity: length });
    // Row 1 holds 2 tokens only; what the prompt padded it with stays in the buffer and must not be seen.
    pass(cache, plain, [0, 0], 5);
    cache.advance([5, 2]);
    const found = pass(cache, plain, [5, 2], 2);
    for (const b of [0, 1]) {
      const start = [5, 2][b]!;
      expect(
        largestDifference(rowsOf(found, 2, b, 0, 2), rowsOf(seen([7, 4], b), length, b, start, 2)),
      ).toBeLessThan(1e-6);
    }
    cache.dispose();
  });

  it("gives zeros for a token that sees nothing, as the whole sequence does", () => {
    const even = pattern("even", {}, ({ query }) => query.modulo(2).equals(0));
    const plain = drawn(and(causal(), even));
    const expected = plainAttention(plain).output;
    const cache = createKeyValueCache({ layers: 1, batch, capacity: length });
    for (let start = 0; start < length; start++) {
      const found = pass(cache, plain, [start, start], 1);
      expectRows(found, expected, [start, start], 1);
      if (start % 2 === 1) expect(found.every((value) => value === 0)).toBe(true);
      cache.advance(1);
    }
    cache.dispose();
  });

  it("runs ragged rows, each from its own length", () => {
    for (const each of [causal(), prefix({ length: 2 })]) {
      const plain = drawn(each);
      const { output } = plainAttention(plain);
      const cache = createKeyValueCache({ layers: 1, batch, capacity: length });
      pass(cache, plain, [0, 0], 5);
      cache.advance([5, 3]);
      let lengths = [5, 3];
      for (const count of [1, 3]) {
        expectRows(pass(cache, plain, lengths, count), output, lengths, count);
        cache.advance(count);
        lengths = lengths.map((held) => held + count);
        expect(cache.lengths).toEqual(lengths);
      }
      cache.dispose();
    }
  });

  it("forgets the end, and uses the beginning again", () => {
    const [plain, other] = [drawn(causal()), drawn(causal())];
    other.k.values.reverse();
    const { output } = plainAttention(plain);
    const cache = createKeyValueCache({ layers: 1, batch, capacity: length });
    pass(cache, plain, [0, 0], 4);
    cache.advance(4);
    pass(cache, other, [4, 4], 4);
    cache.advance(4);
    cache.truncate([4, 3]);
    expect(cache.lengths).toEqual([4, 3]);
    expectRows(pass(cache, plain, [4, 3], 2), output, [4, 3], 2);
    cache.truncate(0);
    expect(cache.lengths).toEqual([0, 0]);
    expectRows(pass(cache, plain, [0, 0], length), output, [0, 0], length);
    expect(() => cache.truncate(1)).toThrow("KeyValueCache: truncate must be an integer from 0 to 0, got 1");
    cache.dispose();
  });

  it("loses nothing when a step throws half way", () => {
    const plain = drawn(causal());
    const { output } = plainAttention(plain);
    const cache = createKeyValueCache({ layers: 2, batch, capacity: length });
    for (const layer of [0, 1]) pass(cache, plain, [0, 0], 4, layer);
    cache.advance(4);
    const before = tf.memory().numTensors;
    pass(cache, plain, [4, 4], 1, 0);
    expect(() =>
      tf.tidy(() =>
        attention({
          q: tokens(plain.q, [4, 4], 1),
          k: tokens(plain.k, [4, 4], 1),
          v: tf.ones([batch, keyHeads, 1, 2]),
          pattern: causal(),
          cache: cache.layer(1),
        }),
      ),
    ).toThrow("KeyValueCache: v must have shape [2, 2, 1, 5], got [2,2,1,2]");
    expect(tf.memory().numTensors).toBe(before);
    expect(cache.lengths).toEqual([4, 4]);
    for (const layer of [0, 1]) expectRows(pass(cache, plain, [4, 4], 1, layer), output, [4, 4], 1);
    cache.dispose();
  });

  it("leaves no buffer behind when the first step throws", () => {
    const cache = createKeyValueCache({ layers: 1, batch: 1, capacity: 4 });
    tf.tidy(() => {
      const [floats, integers] = [tf.ones([1, 1, 1, 2]), tf.ones([1, 1, 1, 2], "int32")];
      expect(() => cache.layer(0).append(integers, floats)).toThrow(
        'KeyValueCache: k must be float32, got "int32"',
      );
      expect(() => cache.layer(0).append(floats, tf.ones([1, 1, 2, 2]))).toThrow(
        "KeyValueCache: v must have shape [1, 1, 1, any], got [1,1,2,2]",
      );
      const write = (): unknown => cache.layer(0).append(floats, floats);
      expect(() => withKernels({ cacheWrite: "absent" }, write)).toThrow("cacheWrite: kernel must be one of");
    });
    expect(cache.bytes).toBe(0);
  });

  it("frees the old buffer where a backend cannot write in place", () => {
    const plain = drawn(causal());
    const { output } = plainAttention(plain);
    const cache = createKeyValueCache({ layers: 1, batch, capacity: length });
    withKernels({ cacheWrite: "cacheWrite.reference" }, () => {
      pass(cache, plain, [0, 0], 2);
      cache.advance(2);
      const before = tf.memory().numTensors;
      for (let t = 2; t < length; t++) {
        expectRows(pass(cache, plain, [t, t], 1), output, [t, t], 1);
        cache.advance(1);
      }
      expect(tf.memory().numTensors).toBe(before);
    });
    cache.dispose();
  });

  it("is counted in bytes, and empty after it is disposed", () => {
    const plain = drawn(causal());
    const cache = createKeyValueCache({ layers: 2, batch, capacity: 10 });
    expect(cache.bytes).toBe(0);
    pass(cache, plain, [0, 0], 1, 1);
    expect(cache.bytes).toBe(4 * batch * keyHeads * 10 * (width + valueWidth));
    cache.dispose();
    expect(cache.bytes).toBe(0);
    cache.dispose();
    expect(() => pass(cache, plain, [0, 0], 1)).toThrow(
      "KeyValueCache: must not be used after it was disposed",
    );
    expect(() => cache.advance(1)).toThrow("KeyValueCache: must not be used after it was disposed");
    expect(() => cache.truncate(0)).toThrow("KeyValueCache: must not be used after it was disposed");
  });
});

describe("what KeyValueCache refuses", () => {
  useBackend("cpu");

  it("more tokens than its capacity, and keeps those that it has", () => {
    const plain = drawn(causal());
    const cache = createKeyValueCache({ layers: 1, batch, capacity: 6 });
    pass(cache, plain, [0, 0], 5);
    cache.advance([5, 2]);
    expect(() => pass(cache, plain, [5, 2], 2)).toThrow(
      "KeyValueCache: tokens must be at most the capacity of 6, got 7",
    );
    expect(() => cache.advance([2, 2])).toThrow(
      "KeyValueCache: advance must be at most the 0 tokens that every layer has appended, got 2",
    );
    expect(cache.lengths).toEqual([5, 2]);
    expectRows(pass(cache, plain, [5, 2], 1), plainAttention(plain).output, [5, 2], 1);
    cache.dispose();
  });

  it("to count tokens that a layer did not write", () => {
    const plain = drawn(causal());
    const cache = createKeyValueCache({ layers: 2, batch, capacity: length });
    const refused = (most: number, count: number | readonly number[]): void =>
      expect(() => cache.advance(count)).toThrow(
        `KeyValueCache: advance must be at most the ${most} tokens that every layer has appended, got `,
      );
    refused(0, 1);
    pass(cache, plain, [0, 0], 3, 0);
    refused(0, 3);
    pass(cache, plain, [0, 0], 3, 1);
    refused(3, [1, 4]);
    expect(cache.lengths).toEqual([0, 0]);
    cache.advance([3, 2]);
    // What is left of the row that took fewer would be another token's.
    refused(0, [0, 1]);
    for (const layer of [0, 1]) pass(cache, plain, [3, 2], 2, layer);
    cache.truncate([2, 2]);
    refused(0, 2);
    cache.advance(0);
    expect(cache.lengths).toEqual([2, 2]);
    cache.dispose();
  });

  it("a misspelt option, and none", () => {
    expect(() => createKeyValueCache({ layers: 1, capacity: 1, bach: 2 } as KeyValueCacheOptions)).toThrow(
      'createKeyValueCache: options must have only the fields layers, batch, capacity, got "bach"',
    );
    expect(() => createKeyValueCache(undefined as never)).toThrow(
      "createKeyValueCache: options must be an object of layers, batch, capacity, got undefined",
    );
    const cache = createKeyValueCache({ layers: 1, capacity: 1 });
    expect(() => cache.advance(null as never)).toThrow("advance must be a number or hold 1, one a batch row");
  });

  it("to be differentiated, and patterns that change with the length", () => {
    const cache = createKeyValueCache({ layers: 1, capacity: 4 });
    tf.tidy(() => {
      const q = tf.ones([1, 1, 1, 2]);
      const call = { q, k: q, v: q, cache: cache.layer(0) };
      expect(() => differentiate(() => attention({ ...call, pattern: causal() }), [q])).toThrow(
        "attention: cache must not be used while differentiating, since no gradient flows through it",
      );
      const changing = bigBird({ block: 2, window: 1, global: 1, random: 1, seed: 1 });
      expect(() => attention({ ...call, pattern: changing })).toThrow(
        "attention: pattern big-bird must not change with the length to be used with a cache",
      );
      expect(() => attention({ ...call, pattern: and(causal(), changing) })).toThrow(
        "attention: pattern and must not change with the length",
      );
      const growing = modifier("growing", {}, score.times(fromInteger(variables.keyLength)));
      expect(() => attention({ ...call, pattern: causal(), modifiers: [growing] })).toThrow(
        "attention: modifier growing must not read a length to be used with a cache",
      );
      expect(() => attention({ ...call, q: tf.ones([1, 1, 2, 2]), pattern: causal() })).toThrow(
        "attention: q must have the 1 tokens of k, which the cache takes, got [1,1,2,2]",
      );
    });
    expect(cache.bytes).toBe(0);
  });

  it("sizes that are no positive integers, and rows that it does not have", () => {
    for (const [size, message] of [
      [{ layers: 0, capacity: 1 }, "createKeyValueCache: layers must be an integer >= 1, got 0"],
      [{ layers: 1, capacity: 1.5 }, "createKeyValueCache: capacity must be an integer >= 1, got 1.5"],
      [{ layers: 1, capacity: 1, batch: -1 }, "createKeyValueCache: batch must be an integer >= 1, got -1"],
    ] as const)
      expect(() => createKeyValueCache(size)).toThrow(message);
    const cache = createKeyValueCache({ layers: 2, batch, capacity: 4 });
    expect(() => cache.layer(2)).toThrow("KeyValueCache: layer must be an integer from 0 to 1, got 2");
    expect(() => cache.advance([1])).toThrow(
      "KeyValueCache: advance must be a number or hold 2, one a batch row, got [1]",
    );
    expect(() => cache.truncate([0, 0, 0])).toThrow("KeyValueCache: truncate must be a number or hold 2");
    tf.tidy(() => {
      const rows = tf.ones([1, 2, 1, 3]);
      expect(() => cache.layer(0).append(rows, rows)).toThrow(
        "KeyValueCache: k must have shape [2, any, any, any], got [1,2,1,3]",
      );
    });
  });
});
