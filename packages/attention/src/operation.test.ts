import * as tf from "@tensorflow/tfjs-core";
import type { Tensor } from "@tensorflow/tfjs-core";
import {
  drawAttention,
  drawAttributes,
  expectAttention,
  largestDifference,
  patternSamples,
  plainAttention,
  tensorCall,
  useBackend,
} from "@heddle/conformance";
import type { AttentionSizes, BackendName } from "@heddle/conformance";
import { HeddleError, differentiate, explain } from "@heddle/core";
import { describe, expect, it } from "vitest";
import { fromInteger, lookup, score, variables } from "./expression/builders.ts";
import type { NumberExpression } from "./expression/builders.ts";
import { modifier } from "./expression/modifier.ts";
import { and, not, pattern } from "./expression/pattern.ts";
import { patternToJSON } from "./expression/pattern-json.ts";
import { attentionMaps } from "./maps.ts";
import { attention, attentionOperation } from "./operation.ts";
import { causal } from "./patterns/causal.ts";
import { full } from "./patterns/full.ts";
import { padding } from "./patterns/padding.ts";
import { slidingWindow } from "./patterns/sliding-window.ts";

const { query, key } = variables;
const backends: readonly BackendName[] = ["cpu", "wasm"];
const sizes: AttentionSizes = {
  batch: 2,
  heads: 4,
  keyHeads: 2,
  queries: 5,
  keys: 7,
  width: 3,
  valueWidth: 2,
};
const square: AttentionSizes = { ...sizes, queries: 11, keys: 11, batch: 2 };
const label = (value: Parameters<typeof patternToJSON>[0]): string => JSON.stringify(patternToJSON(value));
const distance = key.minus(query);
const bias = (table: string, index = distance.plus(2)): NumberExpression => score.plus(lookup(table, index));
const empty = pattern("rows-1-and-3", {}, ({ query }) => query.modulo(2).equals(1));

describe.each(backends)("attention on %s", (backend) => {
  useBackend(backend);

  it.each(patternSamples.map((each) => [label(each), each] as const))(
    "is the definition, forward and backward: %s",
    async (_, each) => {
      const attributes = drawAttributes(2, sizes.queries, sizes.keys);
      await expectAttention(drawAttention(sizes, { pattern: each, attributes, queryOffset: 2 }));
    },
  );

  it.each<[string, AttentionSizes]>([
    [
      "one of each",
      { ...sizes, batch: 1, heads: 1, keyHeads: 1, queries: 1, keys: 1, width: 1, valueWidth: 1 },
    ],
    ["one query", { ...sizes, queries: 1, keys: 9 }],
    ["more queries than keys", { ...sizes, queries: 9, keys: 4 }],
    ["three to a key head", { ...sizes, heads: 6, keyHeads: 2, batch: 3, queries: 3 }],
    ["one key head", { ...sizes, keyHeads: 1, width: 5, valueWidth: 1 }],
  ])("has the sizes that it is given: %s", (_, given) =>
    expectAttention(drawAttention(given, { pattern: slidingWindow({ before: 3, after: 1 }) })),
  );

  it("starts each batch row at its own position and counts the first keys only", async () => {
    await expectAttention(
      drawAttention(sizes, { pattern: causal(), queryOffset: [0, 1], keyLength: 6, scale: 0.4 }),
    );
    await expectAttention(drawAttention(sizes, { pattern: full(), queryOffset: [4, 0], keyLength: 3 }));
  });

  it("masks keys by padding, with attributes for all rows or for each", async () => {
    const keep = Int32Array.of(1, 0, 1, 1, 0, 1, 1);
    const attributes = { key: { keep } };
    await expectAttention(
      drawAttention(sizes, { pattern: and(causal(), padding()), attributes, queryOffset: 2 }),
    );
    const each = { batch: 2, key: { keep: Int32Array.of(...keep, ...keep.map((flag) => 1 - flag)) } };
    await expectAttention(drawAttention(sizes, { pattern: padding(), attributes: each }));
  });

  it("gives exact zeros and zero gradients for rows that see nothing", async () => {
    const plain = drawAttention(sizes, { pattern: not(empty) });
    await expectAttention(plain);
    const { call, tensors } = tensorCall(plain);
    const { value, gradients } = differentiate(() => attention(call), [tensors["q"]!]);
    for (const tensor of [value, gradients[0]!]) {
      const width = tensor.shape[3]!;
      tensor.dataSync().forEach((x, at) => {
        if ((Math.floor(at / width) % sizes.queries) % 2 === 1) expect(x).toBe(0);
        else expect(x).not.toBe(0);
      });
    }
    tf.dispose([...Object.values(tensors), value, gradients[0]!]);
  });

  it.each([1e4, -1e4])("stays finite at scores of %d", async (scale) => {
    for (const each of [full(), causal(), not(empty)]) {
      const plain = drawAttention({ ...sizes, queries: 7 }, { pattern: each, scale });
      const { call, tensors } = tensorCall(plain);
      const { value, gradients } = differentiate(() => attention(call), Object.values(tensors));
      expect(largestDifference(value.dataSync(), plainAttention(plain).output)).toBeLessThan(1e-3);
      for (const gradient of gradients) expect(gradient!.dataSync().every(Number.isFinite)).toBe(true);
      tf.dispose([...Object.values(tensors), value, ...gradients.map((gradient) => gradient!)]);
    }
  });

  it("ignores infinite scores of pairs that are not allowed", async () => {
    // exp(100) of itself overflows float32 wherever a later key is seen.
    const late = distance.isGreater(0).select(score.plus(100).exp().times(1e30), score);
    await expectAttention(drawAttention(square, { pattern: causal() }, [{ score: late.node }]));
    // Infinity over Infinity, which is NaN, in the value and in the derivative.
    const odds = fromInteger(distance.maximum(0)).times(100).exp();
    const unknown = score.times(odds.dividedBy(odds.plus(1)));
    await expectAttention(drawAttention(square, { pattern: causal() }, [{ score: unknown.node }]));
  });

  it("gives all to a pair whose modified score overflows", async () => {
    const first = key.equals(0).select(score.plus(100).exp().times(1e30), score);
    await expectAttention(drawAttention(square, { pattern: full() }, [{ score: first.node }]));
  });

  it("sees that an attribute changed in the array that it was given before", () => {
    const { call, tensors } = tensorCall(drawAttention(sizes, { pattern: padding() }));
    const keep = Int32Array.from({ length: sizes.keys }, (_, token) => Number(token > 0));
    const run = (values: Int32Array): number[] =>
      Array.from(tf.tidy(() => attention({ ...call, attributes: { key: { keep: values } } }).dataSync()));
    const first = run(keep);
    keep[0] = 1;
    expect(run(keep)).toEqual(run(new Int32Array(sizes.keys).fill(1)));
    expect(run(keep)).not.toEqual(first);
    tf.dispose(Object.values(tensors));
  });

  it("sees that the offsets changed in the list that it was given before", () => {
    const { call, tensors } = tensorCall(drawAttention(sizes, { pattern: causal() }));
    const offsets = [0, 2];
    const run = (queryOffset: number[]): number[] =>
      Array.from(tf.tidy(() => attention({ ...call, queryOffset }).dataSync()));
    const first = run(offsets);
    offsets[0] = 2;
    expect(run(offsets)).toEqual(run([2, 2]));
    expect(run(offsets)).not.toEqual(first);
    tf.dispose(Object.values(tensors));
  });

  it("drops the probabilities that its random stream names", async () => {
    const dropout = { rate: 0.4, address: { seed: 3, path: "layer.dropout", step: 2 } };
    await expectAttention(drawAttention(sizes, { pattern: causal(), queryOffset: 2, dropout }));
    await expectAttention(drawAttention(sizes, { pattern: full(), keyLength: 5, dropout }));
    const kept = { ...dropout, rate: 0 };
    const plain = drawAttention(sizes, { pattern: full(), dropout: kept });
    await expectAttention(plain);
  });

  describe("modifiers", () => {
    const slopes = score.plus(
      lookup("slopes", 0).times(fromInteger(query.minus(key).maximum(distance).times(-1))),
    );
    const attribute = query.attribute("document").plus(key.attribute("document"));
    const capped = score.dividedBy(2).tanh().times(2);
    it.each<[string, Parameters<typeof drawAttention>[2]]>([
      ["soft cap", [{ score: capped.node }]],
      ["ALiBi", [{ score: slopes.node, tables: { slopes: [1, 4, 1, 1] } }]],
      [
        "relative bias, its index outside the table for some pairs",
        [{ score: bias("b").node, tables: { b: [1, 4, 1, 4] } }],
      ],
      [
        "a table for each batch row, head and query",
        [{ score: bias("b", key).node, tables: { b: [2, 4, 5, 7] } }],
      ],
      [
        "a table for each query, shared by heads",
        [{ score: bias("b", key).node, tables: { b: [2, 1, 5, 7] } }],
      ],
      ["a table for each batch row", [{ score: bias("b", key).node, tables: { b: [2, 1, 1, 7] } }]],
      [
        "an index that differs by head",
        [{ score: bias("b", variables.head.plus(distance)).node, tables: { b: [1, 4, 1, 5] } }],
      ],
      [
        "an index that differs by batch row",
        [{ score: bias("b", attribute).node, tables: { b: [1, 1, 1, 4] } }],
      ],
      [
        "one table read twice",
        [{ score: bias("b").times(lookup("b", key)).node, tables: { b: [1, 4, 1, 6] } }],
      ],
      [
        "a condition",
        [
          {
            score: distance.isLess(1).select(score.times(2), lookup("b", key)).node,
            tables: { b: [1, 4, 1, 7] },
          },
        ],
      ],
      ["no score at all", [{ score: fromInteger(distance).times(0.3).node }]],
      [
        "a chain of three",
        [
          { score: slopes.node, tables: { slopes: [1, 4, 1, 1] } },
          { score: capped.node },
          { score: bias("b").node, tables: { b: [1, 4, 5, 6] } },
        ],
      ],
      [
        "division and exponential",
        [
          {
            score: score.dividedBy(lookup("b", key).exp().plus(1)).negate().node,
            tables: { b: [1, 4, 1, 7] },
          },
        ],
      ],
    ])("%s", async (_, modifiers) => {
      const attributes = drawAttributes(2, sizes.queries, sizes.keys);
      await expectAttention(
        drawAttention(sizes, { pattern: causal(), queryOffset: [2, 1], attributes }, modifiers),
      );
      await expectAttention(
        drawAttention(
          sizes,
          { pattern: full(), attributes, dropout: { rate: 0.3, address: { seed: 1 } } },
          modifiers,
        ),
      );
    });
  });

  it.each(patternSamples.map((each) => [label(each), each] as const))(
    "cannot see the future when joined with causal: %s",
    (_, each) => {
      const length = square.queries;
      const attributes = drawAttributes(2, length, length);
      const plain = drawAttention(square, { pattern: and(causal(), each), attributes });
      const output = (values: typeof plain): Float32Array => {
        const { call, tensors } = tensorCall(values);
        const out = attention(call);
        const data = out.dataSync() as Float32Array;
        tf.dispose([...Object.values(tensors), out]);
        return data.slice();
      };
      const before = output(plain);
      for (const token of [1, 6, 10]) {
        const change = ({ shape, values }: typeof plain.q): typeof plain.q => {
          const row = (at: number): number => Math.floor(at / shape[3]) % length;
          return { shape, values: values.map((x, at) => (row(at) === token ? 3 - 2 * x : x)) };
        };
        const after = output({ ...plain, q: change(plain.q), k: change(plain.k), v: change(plain.v) });
        const rows = new Set<number>();
        after.forEach((x, at) => {
          if (!Object.is(x, before[at])) rows.add(Math.floor(at / square.valueWidth) % length);
        });
        for (const row of rows) expect(row).toBeGreaterThanOrEqual(token);
      }
    },
  );

  it("gives maps of chosen heads and rows, before dropout", () => {
    const plain = drawAttention(sizes, {
      pattern: not(empty),
      dropout: { rate: 0.5, address: { seed: 1 } },
    });
    const { probabilities } = plainAttention({ ...plain, dropout: undefined });
    const { call, tensors } = tensorCall(plain);
    const all = attentionMaps(call);
    expect(all.shape).toEqual([2, 4, 5, 7]);
    expect(largestDifference(all.dataSync(), probabilities)).toBeLessThan(1e-6);
    const some = attentionMaps(call, { heads: [3, 1], rows: [4] });
    expect(some.shape).toEqual([2, 2, 1, 7]);
    const wanted = [0, 1].flatMap((b) =>
      [3, 1].flatMap((head) => [
        ...probabilities.subarray(((b * 4 + head) * 5 + 4) * 7, ((b * 4 + head) * 5 + 5) * 7),
      ]),
    );
    expect(largestDifference(some.dataSync(), wanted)).toBeLessThan(1e-6);
    expect(() => attentionMaps(call, { heads: [4] })).toThrow(
      "attentionMaps: heads must be an integer from 0 to 3, got 4",
    );
    expect(() => attentionMaps(call, { rows: [5] })).toThrow(
      "attentionMaps: rows must be an integer from 0 to 4, got 5",
    );
    expect(() => attentionMaps(call, { heads: 1 as never })).toThrow(
      "attentionMaps: heads must be a list of numbers, got 1",
    );
    const { value, gradients } = differentiate(() => {
      expect(attentionMaps(call).dataSync()).toEqual(all.dataSync());
      return attention(call);
    }, [call.q]);
    tf.dispose([value, gradients[0]!]);
    tf.dispose([...Object.values(tensors), all, some]);
  });
});

describe("attention's bad calls", () => {
  useBackend("cpu");
  const ones = (...shape: number[]): Tensor => tf.ones(shape);
  const attributes = (batch: number) => ({ batch, key: { keep: new Int32Array(7 * batch).fill(1) } });
  const table = (shape: number[]) => [modifier("m", {}, bias("b"), { b: ones(...shape) })];

  it.each<[string, () => object, string]>([
    [
      "q without four dimensions",
      () => ({ q: ones(2, 5, 3) }),
      "attention: q must have shape [any, any, any, any], got [2,5,3]",
    ],
    [
      "q of integers",
      () => ({ q: tf.ones([2, 4, 5, 3], "int32") }),
      'attention: q must be float32, got "int32"',
    ],
    ["no k", () => ({ k: undefined }), "attention: k must be a tensor, got undefined"],
    [
      "k of another width",
      () => ({ k: ones(2, 2, 7, 4) }),
      "attention: k must have shape [2, any, any, 3], got [2,2,7,4]",
    ],
    [
      "v of another length",
      () => ({ v: ones(2, 2, 6, 2) }),
      "attention: v must have shape [2, 2, 7, any], got [2,2,6,2]",
    ],
    [
      "heads that do not divide",
      () => ({ k: ones(2, 3, 7, 3), v: ones(2, 3, 7, 2) }),
      "attention: heads of q must be a multiple of the 3 heads of k, got 4",
    ],
    [
      "no pattern",
      () => ({ pattern: undefined }),
      "attention: pattern must be an attention pattern, got undefined",
    ],
    [
      "a pattern for other heads",
      () => ({ pattern: patternSamples[6], q: ones(2, 2, 5, 3) }),
      "dilated: heads must be 4, as its options say, got 2",
    ],
    [
      "a pattern that allows nothing",
      () => ({ pattern: and(causal(), not(causal())) }),
      "attention: pattern and must allow at least one pair of 5 queries and 7 keys",
    ],
    [
      "a missing attribute",
      () => ({ pattern: padding() }),
      "padding: mask: attributes.key.keep must be an Int32Array of 1 x 7 integers, since the pattern reads it, got undefined",
    ],
    [
      "an attribute of another length",
      () => ({ pattern: padding(), attributes: { key: { keep: new Int32Array(6) } } }),
      "padding: mask: attributes.key.keep must be an Int32Array of 1 x 7 integers",
    ],
    [
      "attributes of another batch",
      () => ({ pattern: padding(), attributes: attributes(3) }),
      "attention: attributes.batch must be 1 or the batch of 2, got 3",
    ],
    [
      "a missing attribute of a modifier",
      () => ({ modifiers: [modifier("m", {}, score.times(fromInteger(key.attribute("x"))))] }),
      "attention: attributes.key.x must be an Int32Array of 1 x 7 integers, since a modifier reads it, got undefined",
    ],
    [
      "an attribute of a modifier that is too great",
      () => ({
        modifiers: [modifier("m", {}, score.times(fromInteger(key.attribute("x"))))],
        attributes: { key: { x: new Int32Array(7).fill(2 ** 25) } },
      }),
      "attention: attributes.key.x must be within ±16777216, got 33554432",
    ],
    [
      "heads without a width",
      () => ({ q: ones(2, 4, 5, 0), k: ones(2, 2, 7, 0) }),
      "attention: q must have heads of a width of at least 1, got [2,4,5,0]",
    ],
    [
      "values without a width",
      () => ({ v: ones(2, 2, 7, 0) }),
      "attention: v must have heads of a width of at least 1, got [2,2,7,0]",
    ],
    ["a scale that is no number", () => ({ scale: NaN }), "attention: scale must be a number, got NaN"],
    [
      "a dropout rate of 1",
      () => ({ dropout: { rate: 1, address: { seed: 1 } } }),
      "attention: dropout.rate must be a number from 0 to 0.99999994",
    ],
    [
      "more keys than there are",
      () => ({ keyLength: 8 }),
      "attention: keyLength must be an integer from 1 to 7, got 8",
    ],
    [
      "offsets for another batch",
      () => ({ queryOffset: [1, 2, 3] }),
      "attention: queryOffset must be a number or hold 2, one a batch row, got [1,2,3]",
    ],
    [
      "a negative offset",
      () => ({ queryOffset: [0, -1] }),
      "attention: queryOffset must be an integer >= 0, got -1",
    ],
    [
      "a table of two dimensions",
      () => ({ modifiers: table([1, 4]) }),
      "attention: modifiers[0] table b must have shape [any, any, any, any], got [1,4]",
    ],
    [
      "a table that does not broadcast",
      () => ({ modifiers: table([1, 3, 1, 4]) }),
      "attention: modifiers[0] table b must have a shape that broadcasts to [2, 4, 5, any], got [1,3,1,4]",
    ],
    [
      "a table that is not given",
      () => ({ modifiers: [modifier("m", {}, bias("b"))] }),
      "attention: modifiers[0] table b must be given with the modifier, got []",
    ],
    [
      "a thing that is no modifier",
      () => ({ modifiers: [{ name: "m" }] }),
      'attention: modifiers[0] must be a modifier, got {"name":"m"}',
    ],
  ])("%s", (_, change, message) => {
    const before = tf.memory().numTensors;
    const given = tf.tidy(() => {
      const q = ones(2, 4, 5, 3);
      const call = { q, k: ones(2, 2, 7, 3), v: ones(2, 2, 7, 2), pattern: full(), ...change() };
      const made = tf.memory().numTensors;
      const forward = (): Tensor => attention(call as Parameters<typeof attention>[0]);
      expect(forward).toThrow(HeddleError);
      expect(forward).toThrow(message);
      expect(() => differentiate(forward, [q])).toThrow(message);
      return tf.memory().numTensors - made;
    });
    expect(given, "tensors leaked by the throw").toBe(0);
    expect(tf.memory().numTensors).toBe(before);
  });

  it("names the reference in explain", () => {
    const call = { q: ones(1, 1, 2, 2), k: ones(1, 1, 2, 2), v: ones(1, 1, 2, 2), pattern: full() };
    expect(explain(attentionOperation, call).toString()).toBe("attention on cpu: attention.reference");
    tf.dispose([call.q, call.k, call.v]);
  });
});
