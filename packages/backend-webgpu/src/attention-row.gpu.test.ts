import {
  and,
  attention,
  attentionOperation,
  bigBird,
  causal,
  dilated,
  documents,
  fromInteger,
  full,
  lookup,
  modifier,
  or,
  pattern,
  score,
  slidingWindow,
  strided,
  variables,
} from "@heddle/attention";
import type { AttentionCall, AttentionPattern } from "@heddle/attention";
import { drawn, largestDifference, testKernel, useBackend } from "@heddle/conformance";
import type { KernelCase } from "@heddle/conformance";
import { randomStream } from "@heddle/core";
import * as tf from "@tensorflow/tfjs-core";
import { describe, expect, it, vi } from "vitest";
import { planOfFew } from "./attention-plan.ts";
import { attentionWebGpu } from "./attention.ts";
import { engine } from "./engine.ts";

const { query, key } = variables;
const drawModifier = () =>
  modifier(
    "bias",
    {},
    score.plus(lookup("bias", key.modulo(7))).plus(fromInteger(key.minus(query).modulo(11)).times(0.1)),
    { bias: drawn("bias", [1, 4, 1, 7]) as tf.Tensor4D },
  );
const document = (length: number, from = 0): Int32Array =>
  Int32Array.from({ length }, (_, i) => Math.floor((from + i) / 500));

/** More keys than a group has to itself. */
const KEYS = 1100;
const long = (
  name: string,
  settings: Omit<AttentionCall, "q" | "k" | "v">,
  { batch = 1, queries = 1, width = 8, valueWidth = 8, modified = false } = {},
): KernelCase<AttentionCall> => ({
  name,
  differentiable: false,
  make: () => ({
    q: drawn("q", [batch, 4, queries, width]),
    k: drawn("k", [batch, 2, KEYS, width]),
    v: drawn("v", [batch, 2, KEYS, valueWidth]),
    queryOffset: KEYS - queries,
    ...settings,
    ...(modified && { modifiers: [drawModifier()] }),
  }),
});

const scattered = or(strided({ stride: 16 }), slidingWindow({ before: 600 }));

describe("attention of few queries of many keys on webgpu", () => {
  useBackend("webgpu");
  testKernel(attentionOperation, attentionWebGpu, [
    long("one token", { pattern: causal() }),
    long(
      "a token of an odd width, before the cache is full",
      {
        pattern: causal(),
        keyLength: 1061,
        queryOffset: 1060,
      },
      { width: 7, valueWidth: 13 },
    ),
    long(
      "three tokens, across a tile of queries",
      { pattern: causal(), queryOffset: 1087, keyLength: 1090 },
      {
        queries: 3,
      },
    ),
    long("all keys, those behind the last tile too", { pattern: full(), keyLength: 1090, queryOffset: 1089 }),
    long("parts of a permutation each", { pattern: and(causal(), scattered) }, { queries: 2 }),
    long(
      "modifiers that look up, and dropout",
      {
        pattern: causal(),
        dropout: { rate: 0.3, address: { seed: 3, path: "few" } },
      },
      { modified: true, queries: 2 },
    ),
    long(
      "an offset a row",
      { pattern: causal(), queryOffset: [KEYS - 1, 400] },
      { batch: 2, modified: true },
    ),
    long("attributes", {
      pattern: and(causal(), documents()),
      attributes: { query: { document: document(1, KEYS - 1) }, key: { document: document(KEYS) } },
    }),
    long("nothing to see", {
      pattern: pattern("none", {}, ({ query: q, key: k }) => k.isLess(q.minus(5000))),
    }),
  ]);

  it("is the same bits in every run", async () => {
    const run = async (): Promise<Uint32Array> => {
      const result = tf.tidy(() => {
        const { make } = long("", { pattern: causal() });
        return attention(make());
      });
      const bits = new Uint32Array((await result.data<"float32">()).slice().buffer);
      result.dispose();
      return bits;
    };
    expect(await run()).toEqual(await run());
  });

  it.each([
    ["q", NaN, 0],
    ["k", NaN, 5],
    ["v", NaN, 5],
    ["q", -Infinity, 0],
    ["k", Infinity, 5],
  ])(
    "gives no number where a row sees %s of %d, and every bit of the other rows",
    async (name, value, token) => {
      const rowsOf = async (keys: number, each: AttentionPattern, given?: number): Promise<Uint32Array[]> => {
        const result = tf.tidy(() => {
          // Of two batch rows the first has it; positive, so that Infinity in a key makes a score of Infinity.
          const rows = (path: string, length: number): tf.Tensor4D => {
            const values = randomStream({ seed: 2, path })
              .normals(2 * length * 8)
              .map(Math.abs);
            if (path === name && given !== undefined) values[8 * token + 3] = given;
            return tf.tensor4d(values, [2, 1, length, 8]);
          };
          const [k, v] = [rows("k", keys), rows("v", keys)];
          return attention({ q: rows("q", 1), k, v, pattern: each, queryOffset: keys - 1 });
        });
        const bits = new Uint32Array((await result.data<"float32">()).slice().buffer);
        result.dispose();
        return [bits.slice(0, 8), bits.slice(8)];
      };
      // A group a query, and several.
      for (const keys of [300, KEYS])
        for (const [each, sees] of [
          [causal(), true],
          [slidingWindow({ before: 256 }), name === "q"],
        ] as const) {
          const [before, after] = [await rowsOf(keys, each), await rowsOf(keys, each, value)];
          if (!sees) expect(after[0]).toEqual(before[0]);
          else expect(after[0]!.some((word) => (word & 0x7f800000) === 0x7f800000)).toBe(true);
          expect(after[1]).toEqual(before[1]);
        }
    },
  );

  it("takes one program for a short context, and two for a long one or several parts", () => {
    const ran = vi.spyOn(engine().device, "createBindGroup");
    const programsOf = (pattern: AttentionPattern, keys: number): number => {
      tf.tidy(() => {
        const [q, k] = [drawn("q", [1, 1, 1, 4]), drawn("k", [1, 1, keys, 4])];
        ran.mockClear();
        attention({ q, k, v: k, pattern, queryOffset: keys - 1 });
      });
      return ran.mock.calls.length;
    };
    expect(programsOf(causal(), 900)).toBe(1);
    expect(programsOf(causal(), 1100)).toBe(2);
    expect(programsOf(slidingWindow({ before: 256 }), 1100)).toBe(1);
    expect(programsOf(and(causal(), scattered), 900)).toBe(2);
    vi.restoreAllMocks();
  });
});

describe("steps of a decoding on webgpu", () => {
  useBackend("webgpu");

  it.each([
    ["causal", causal()],
    ["windows and strides", and(causal(), or(strided({ stride: 8 }), slidingWindow({ before: 5 })))],
    ["dilated by head", and(causal(), dilated({ window: { before: 9 }, dilation: [1, 2, 3, 4] }))],
    ["BigBird", bigBird({ block: 4, window: 1, global: 1, random: 1, seed: 1, direction: "past" })],
    ["all keys", full()],
  ])("are the rows of the whole: %s", async (_, each) => {
    const [length, width, from] = [70, 8, 30];
    const [q, k, v] = ["q", "k", "v"].map((path) => drawn(path, [1, 4, length, width]) as tf.Tensor4D);
    const step = (offset: number, keyLength: number): tf.Tensor =>
      tf.tidy(() =>
        attention({
          q: tf.slice(q!, [0, 0, offset, 0], [1, 4, 1, width]),
          k: k!,
          v: v!,
          pattern: each,
          queryOffset: offset,
          keyLength,
        }),
      );
    // Without a cache that grows: the last of so many queries, of so many keys.
    const whole = (offset: number, keyLength: number): tf.Tensor =>
      tf.tidy(() => {
        const rows = attention({
          q: tf.slice(q!, [0, 0, 0, 0], [1, 4, offset + 1, width]),
          k: k!,
          v: v!,
          pattern: each,
          keyLength,
        });
        return tf.slice(rows, [0, 0, offset, 0], [1, 4, 1, width]);
      });
    for (let offset = from; offset < length; offset += offset % 32 === 31 ? 1 : 11) {
      const [found, expected] = [step(offset, offset + 1), whole(offset, offset + 1)];
      expect(largestDifference(await found.data(), await expected.data())).toBeLessThan(1e-5);
      tf.dispose([found, expected]);
    }
    tf.dispose([q!, k!, v!]);
  });

  it("share the plan of a tile of queries, where the lengths change nothing", () => {
    const plansOf = (each: AttentionPattern, steps = 32): number =>
      new Set(
        Array.from({ length: steps }, (_, i) => {
          const attributes = { query: { document: document(1) }, key: { document: document(65 + i) } };
          const shape = { heads: 4, queryRows: 1, keyLength: 65 + i, queryOffset: 64 + i, attributes };
          return planOfFew(each, shape).plan;
        }),
      ).size;
    expect(plansOf(and(causal(), slidingWindow({ before: 40 })))).toBe(1);
    expect(plansOf(bigBird({ block: 4, window: 1, global: 1, random: 1, seed: 1, direction: "past" }))).toBe(
      1,
    );
    expect(plansOf(documents())).toBe(32);
    expect(plansOf(pattern("half", {}, ({ key: k, keyLength }) => k.isLess(keyLength.dividedBy(2))))).toBe(
      32,
    );
    expect(
      plansOf(
        pattern("short", {}, ({ key: k }) => k.isLess(9), { greatestLength: 70 }),
        6,
      ),
    ).toBe(6);
  });
});
