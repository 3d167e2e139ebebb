import {
  and,
  attention,
  attentionOperation,
  bigBird,
  causal,
  documents,
  full,
  modifier,
  or,
  pattern,
  score,
  slidingWindow,
  strided,
} from "@heddle/attention";
import type { AttentionCall, AttentionPattern, TokenAttributes } from "@heddle/attention";
import { attentionCases, largestDifference, testKernel, useBackend } from "@heddle/conformance";
import { explain, randomStream } from "@heddle/core";
import * as tf from "@tensorflow/tfjs-core";
import { describe, expect, it, vi } from "vitest";
import { attentionWebGpu } from "./attention.ts";
import { planOf } from "./attention-plan.ts";
import { engine } from "./engine.ts";

/** Every shader costs a good part of a second in software: those of more modifiers and sizes are in the slow job. */
const isQuick = (name: string): boolean =>
  !/^random|widest|many tiles|keys in steps|bias by|soft cap|"length":3|"both"/.test(name);

const draw = (path: string, shape: [number, number, number, number]): tf.Tensor4D =>
  tf.tensor4d(randomStream({ seed: 2, path }).normals(shape.reduce((a, b) => a * b)), shape);

type Settings = Omit<AttentionCall, "q" | "k" | "v">;

/** Told by bits that no value is infinite or NaN. */
const areNumbers = (bits: Uint32Array): boolean => bits.every((word) => (word & 0x7f800000) !== 0x7f800000);

describe("attention on webgpu", () => {
  useBackend("webgpu");
  testKernel(
    attentionOperation,
    attentionWebGpu,
    attentionCases.filter(({ name }) => isQuick(name)),
  );

  it("keeps every bit of the rows before a token that changes, across tiles, and is the same in every run", async () => {
    const [length, width] = [70, 8];
    // One batch row each: the edges of tiles and places inside them.
    const changed = [1, 31, 32, 33, 50, 64, 69];
    const bits = async (each: ReturnType<typeof full>, by: number): Promise<Uint32Array> => {
      const result = tf.tidy(() => {
        const rows = (path: string): tf.Tensor4D => {
          const row = randomStream({ seed: 2, path }).normals(length * width);
          return tf.tensor4d(
            changed.flatMap((token) =>
              Array.from(row, (value, at) => value + (Math.floor(at / width) === token ? by : 0)),
            ),
            [changed.length, 1, length, width],
          );
        };
        return attention({ q: rows("q"), k: rows("k"), v: rows("v"), pattern: and(causal(), each) });
      });
      const values = (await result.data<"float32">()).slice();
      result.dispose();
      return new Uint32Array(values.buffer);
    };
    for (const each of [full(), or(strided({ stride: 7 }), slidingWindow({ before: 20 }))]) {
      const [before, again, after] = [await bits(each, 0), await bits(each, 0), await bits(each, 1)];
      expect(again).toEqual(before);
      changed.forEach((token, row) => {
        const range = [row * length * width, (row * length + token) * width] as const;
        expect(after.subarray(...range)).toEqual(before.subarray(...range));
        const own = [range[1], range[1] + width] as const;
        expect(after.subarray(...own)).not.toEqual(before.subarray(...own));
      });
    }
  });

  it("gives few queries what it gives many", async () => {
    const [length, width, from] = [300, 12, 290];
    const wide = { k: draw("k", [2, 2, length, width]), v: draw("v", [2, 2, length, 7]) };
    const all = draw("q", [2, 4, length, width]);
    const document = Int32Array.from({ length }, (_, i) => Math.floor(i / 110));
    const attributesOf = (start: number, end: number): TokenAttributes => ({
      query: { document: document.slice(start, end) },
      key: { document: document.slice(0, end) },
    });
    for (const each of [causal(), or(strided({ stride: 40 }), slidingWindow({ before: 20 })), documents()]) {
      const pattern = and(causal(), each);
      const whole = attention({ ...wide, q: all, pattern, attributes: attributesOf(0, length) });
      const few = tf.tidy(() =>
        attention({
          ...wide,
          q: tf.slice(all, [0, 0, from, 0], [2, 4, 3, width]),
          pattern,
          attributes: attributesOf(from, from + 3),
          queryOffset: from,
          keyLength: from + 3,
        }),
      );
      const rows = tf.slice(whole, [0, 0, from, 0], [2, 4, 3, 7]);
      const [found, expected] = [await few.data(), await rows.data()];
      expected.forEach((value, i) => expect(found[i]).toBeCloseTo(value, 5));
      tf.dispose([whole, few, rows]);
    }
    tf.dispose([all, ...Object.values(wide)]);
  });

  it("compiles nothing for a step of decoding whose pattern has a larger table than the last one", () => {
    const pattern = bigBird({ block: 4, window: 1, global: 1, random: 1, seed: 1, direction: "past" });
    const step = (keys: number): void =>
      tf.tidy(() => {
        const k = tf.ones([1, 1, keys, 4]);
        attention({ q: tf.ones([1, 1, 1, 4]), k, v: k, pattern, queryOffset: keys - 1 });
      });
    step(40);
    const compiled = vi.spyOn(engine().device, "createComputePipeline");
    for (const keys of [41, 64, 65, 129]) step(keys);
    expect(compiled).not.toHaveBeenCalled();
    vi.restoreAllMocks();
  });

  it.each([
    ["q", NaN],
    ["k", NaN],
    ["v", NaN],
    ["q", -Infinity],
    ["k", Infinity],
    ["v", Infinity],
  ])("gives no number where a row sees %s of %d, and every bit of the other rows", async (name, value) => {
    const [length, width, bad] = [70, 8, 37];
    const rowsOf = async (settings: Settings, given?: number): Promise<Uint32Array[]> => {
      const result = tf.tidy(() => {
        // Positive, so that Infinity in a key makes a score of Infinity.
        const rows = (path: string): tf.Tensor4D => {
          const values = randomStream({ seed: 2, path })
            .normals(length * width)
            .map(Math.abs);
          if (path === name && given !== undefined) values[bad * width + 3] = given;
          return tf.tensor4d(values, [1, 1, length, width]);
        };
        return attention({ q: rows("q"), k: rows("k"), v: rows("v"), ...settings });
      });
      const bits = new Uint32Array((await result.data<"float32">()).slice().buffer);
      result.dispose();
      return Array.from({ length }, (_, i) => bits.slice(i * width, (i + 1) * width));
    };
    const first = pattern("first", {}, ({ query }) => query.isLess(60));
    const scattered = or(strided({ stride: 7 }), slidingWindow({ before: 20 }));
    const patterns: [AttentionPattern, (row: number) => boolean][] = [
      [and(causal(), first), (row) => row < 60],
      [and(causal(), scattered), (row) => row <= bad + 20 || row % 7 === bad % 7],
    ];
    const cap = modifier("cap", {}, score.tanh().times(4));
    for (const [each, sees] of patterns)
      for (const modifiers of Number.isNaN(value) ? [[], [cap]] : [[]]) {
        const settings = { pattern: each, modifiers };
        const [before, after] = [await rowsOf(settings), await rowsOf(settings, value)];
        const isTold = (row: number): boolean => (name === "q" ? row === bad : row >= bad && sees(row));
        after.forEach((bits, row) => {
          if (isTold(row)) expect([row, areNumbers(bits)]).toEqual([row, false]);
          else expect([row, bits]).toEqual([row, before[row]]);
        });
      }
  });

  it("tells of NaN in the gradients of the rows that see it, and keeps the others", async () => {
    const [length, bad] = [40, 35];
    const gradients = async (value: number): Promise<Float32Array[]> => {
      const given = tf.tidy(() => {
        const k = randomStream({ seed: 2, path: "k" }).normals(4 * length);
        k[4 * bad] = value;
        const shape: [number, number, number, number] = [1, 1, length, 4];
        const inputs = [draw("q", shape), tf.tensor4d(k, shape), draw("v", shape)];
        return tf.grads((q, keys, v) =>
          attention({ q: q as tf.Tensor4D, k: keys as tf.Tensor4D, v: v as tf.Tensor4D, pattern: causal() }),
        )(inputs);
      });
      const values = await Promise.all(given.map((x) => x.data<"float32">()));
      tf.dispose(given);
      return values;
    };
    const [before, after] = [await gradients(1), await gradients(NaN)];
    const isNumber = (n: number, row: number): boolean => Number.isFinite(after[n]![4 * row]);
    for (let row = 0; row < length; row++) expect([row, isNumber(0, row)]).toEqual([row, row < bad]);
    expect(after[0]!.subarray(0, 4 * bad)).toEqual(before[0]!.subarray(0, 4 * bad));
    // Every key of a row takes part in its gradients.
    for (const n of [1, 2]) expect([isNumber(n, 0), isNumber(n, bad)]).toEqual([false, false]);
  });

  it("leaves out a key whose score is -Infinity, and gives no number where all are", async () => {
    const [length, width] = [40, 8];
    const give = async (first: number, each: AttentionPattern): Promise<Float32Array> => {
      const result = tf.tidy(() => {
        const k = randomStream({ seed: 2, path: "k" }).normals(length * width);
        k[0] = first;
        const [q, v] = ["q", "v"].map((path) => draw(path, [1, 1, length, width]));
        return attention({ q: tf.abs(q!), k: tf.tensor4d(k, [1, 1, length, width]), v: v!, pattern: each });
      });
      const values = (await result.data<"float32">()).slice();
      result.dispose();
      return values;
    };
    const without = and(
      causal(),
      pattern("all but the first", {}, ({ key }) => key.isGreater(0)),
    );
    const [found, expected] = [await give(-Infinity, causal()), await give(1, without)];
    expect(areNumbers(new Uint32Array(found.buffer, 0, width))).toBe(false);
    expect(largestDifference(found.subarray(width), expected.subarray(width))).toBeLessThan(1e-5);
  });

  it("gives zeros for no keys, and nothing for no batch", async () => {
    const give = async (call: Omit<AttentionCall, "pattern">): Promise<number[]> => {
      const result = tf.tidy(() => attention({ ...call, pattern: causal(), queryOffset: 1 }));
      const values = [...(await result.data())];
      tf.dispose([result, call.q, call.k, call.v]);
      return values;
    };
    const [q, none] = [tf.ones([1, 1, 2, 4]), tf.zeros([1, 1, 0, 4])];
    expect(await give({ q, k: none, v: none.clone() })).toEqual([0, 0, 0, 0, 0, 0, 0, 0]);
    const empty = tf.zeros([0, 1, 2, 4]);
    expect(await give({ q: empty, k: empty.clone(), v: empty.clone() })).toEqual([]);
  });

  it("refuses a pattern that allows nothing, where only its masks tell, and heads that are too wide", () => {
    // A square is 0 or 1 modulo 4.
    const nothing = pattern(
      "nothing",
      {},
      ({ query, key }) => query.times(query).plus(key.times(key)).modulo(4).equals(3),
      { greatestLength: 1000 },
    );
    tf.tidy(() => {
      const q = tf.ones([1, 1, 30, 4]);
      expect(() => attention({ q, k: q, v: q, pattern: nothing })).toThrow(
        "attention: pattern nothing must allow at least one pair of 30 queries and 30 keys, got {}",
      );
      const wide = tf.ones([1, 1, 2, 257]);
      const { refused } = explain(attentionOperation, { q: wide, k: wide, v: wide, pattern: full() });
      expect(refused).toEqual([
        { kernel: attentionWebGpu.name, reasons: ["heads of 257 are wider than 256"] },
      ]);
    });
  });
});

describe("the plan of attention on webgpu", () => {
  useBackend("webgpu");

  it("has the tiles that allow a pair only, and is made once", () => {
    const shape = { heads: 4, queryRows: 320, keyLength: 320 };
    const local = slidingWindow({ before: 32 });
    const [plan, dense] = [planOf(local, shape), planOf(full(), shape)];
    // Each of 10 ranges sees two or one before it, with a mask of 32 words for each tile.
    expect(plan.ranges).toEqual({ queries: 10, keys: 10 });
    expect(plan.words.size).toBeLessThan(1600);
    // 100 tiles, by query and by key, none with a mask.
    expect(dense.words.size).toBeLessThan(500);
    expect(planOf(local, shape)).toBe(plan);
    expect(planOf(local, { ...shape, keyLength: 319 })).not.toBe(plan);
  });

  it("groups what is dense in steps, and splits what is so in several orders", () => {
    const shape = { heads: 2, queryRows: 320, keyLength: 320 };
    const scattered = planOf(strided({ stride: 16 }), shape);
    expect(scattered.parts).toBeGreaterThanOrEqual(1);
    expect(planOf(or(strided({ stride: 16 }), slidingWindow({ before: 20 })), shape).parts).toBe(2);
    expect(planOf(bigBird({ block: 16, window: 1, global: 1, random: 1, seed: 1 }), shape).parts).toBe(1);
  });
});
