import {
  and,
  attention,
  attentionOperation,
  bigBird,
  causal,
  full,
  modifier,
  or,
  pattern,
  score,
  slidingWindow,
  strided,
} from "@heddle/attention";
import type { AttentionCall } from "@heddle/attention";
import { attentionCases, testKernel, useBackend, wasmVariants } from "@heddle/conformance";
import { randomStream } from "@heddle/core";
import * as tf from "@tensorflow/tfjs-core";
import { afterEach, describe, expect, it, vi } from "vitest";
import { GREATEST_MODIFIERS } from "./attention-modifiers.ts";
import { attentionWasm } from "./attention.ts";
import { machine } from "./machine.ts";
import { wasm } from "./wasm.ts";

describe.each(wasmVariants)("attention on wasm %j", (options) => {
  useBackend(wasm(options));
  testKernel(attentionOperation, attentionWasm, attentionCases);

  it.each([
    full(),
    slidingWindow({ before: 40 }),
    strided({ stride: 16 }),
    or(strided({ stride: 7 }), slidingWindow({ before: 20 })),
    bigBird({ block: 16, window: 1, global: 1, random: 1, seed: 1 }),
  ])("keeps every bit of the rows before a token that changes, across tiles: $name", (each) => {
    const [length, width] = [130, 8];
    // One batch row each: the edges of tiles of 24 queries and of 64 keys, and places inside them.
    const changed = [1, 23, 24, 25, 47, 48, 63, 64, 65, 100, 129];
    const bits = (by: number): Uint32Array => {
      const values = tf.tidy(() => {
        const draw = (path: string): tf.Tensor4D => {
          const row = randomStream({ seed: 2, path }).normals(length * width);
          const rows = changed.flatMap((token) =>
            Array.from(row, (value, at) => value + (Math.floor(at / width) === token ? by : 0)),
          );
          return tf.tensor4d(rows, [changed.length, 1, length, width]);
        };
        const call = { q: draw("q"), k: draw("k"), v: draw("v"), pattern: and(causal(), each) };
        return attention(call).dataSync<"float32">().slice();
      });
      return new Uint32Array(values.buffer);
    };
    const [before, after] = [bits(0), bits(1)];
    changed.forEach((token, row) => {
      const tokens = (from: number, to: number): [Uint32Array, Uint32Array] => {
        const range = [(row * length + from) * width, (row * length + to) * width] as const;
        return [before.subarray(...range), after.subarray(...range)];
      };
      const [expected, found] = tokens(0, token);
      expect(found).toEqual(expected);
      const [own, changedOwn] = tokens(token, token + 1);
      expect(changedOwn).not.toEqual(own);
    });
  });
});

describe("attention on wasm", () => {
  useBackend("wasm");
  afterEach(() => void vi.restoreAllMocks());

  const withCall = (f: (call: AttentionCall) => void, given: Partial<AttentionCall> = {}): void =>
    void tf.tidy(() => {
      const q = tf.ones<tf.Rank.R4>([1, 1, 30, 4]);
      f({ q, k: q, v: q, pattern: full(), ...given });
    });

  it("refuses a pattern that allows nothing, where only its masks tell", () => {
    // A square is 0 or 1 modulo 4.
    const nothing = pattern(
      "nothing",
      {},
      ({ query, key }) => query.times(query).plus(key.times(key)).modulo(4).equals(3),
      { greatestLength: 1000 },
    );
    withCall(
      (call) =>
        expect(() => attention(call)).toThrow(
          "attention: pattern nothing must allow at least one pair of 30 queries and 30 keys, got {}",
        ),
      { pattern: nothing },
    );
  });

  it("refuses more modifiers than it has room for", () => {
    const many = Array.from({ length: GREATEST_MODIFIERS + 1 }, () => modifier("twice", {}, score.times(2)));
    withCall((call) => expect(attentionWasm.unsupported(call)).toEqual(["65 modifiers are more than 64"]), {
      modifiers: many,
    });
  });

  it("compiles the mask of a pattern once for all steps of a decoding", () => {
    const odd = pattern("odd", {}, ({ key }) => key.modulo(2).equals(1));
    const step = (queryOffset: number): void =>
      withCall((call) => void attention({ ...call, q: tf.ones([1, 1, 1, 4]), pattern: odd, queryOffset }));
    step(4);
    const compiled = vi.spyOn(WebAssembly, "Module");
    step(5);
    expect(compiled).not.toHaveBeenCalled();
  });

  it("reads keys and values of a cache where they lie, in heads of any width", () => {
    const [length, width] = [4096, 21];
    withCall((call) => {
      const { scratch } = machine();
      const cached = tf.ones<tf.Rank.R4>([1, 1, length, width]);
      const q = tf.ones<tf.Rank.R4>([1, 1, 3, width]);
      attention({ ...call, q, k: cached, v: cached });
      expect(machine().scratch - scratch).toBeLessThan(4 * length * width);
    });
  });

  it("frees what it took of the heap when a pass fails", () => {
    const twice = modifier("twice", {}, score.times(2));
    withCall(
      (call) => {
        attention(call);
        const owner = machine();
        const [allocate, free] = [vi.spyOn(owner, "allocate"), vi.spyOn(owner, "free")];
        vi.spyOn(owner, "run").mockImplementation(() => {
          throw new Error("no");
        });
        expect(() => attention(call)).toThrow("no");
        expect(allocate).toHaveBeenCalledTimes(1);
        expect(free.mock.calls).toEqual([[allocate.mock.results[0]!.value]]);
      },
      { modifiers: [twice] },
    );
  });
});
