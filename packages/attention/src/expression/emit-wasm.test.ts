import { describe, expect, it } from "vitest";
import { randomExpression, randomModifier, startWasmTile } from "@heddle/conformance";
import { randomStream } from "@heddle/core";
import { applyModifier } from "./apply-modifier.ts";
import type { ModifierContext } from "./apply-modifier.ts";
import { constant, fromInteger, lookup, score, variables } from "./builders.ts";
import type { NumberExpression } from "./builders.ts";
import { lookupDerivatives, scoreDerivative } from "./derivative.ts";
import { emitMask, emitModifier } from "./emit-wasm.ts";
import { allows } from "./evaluate.ts";
import { softCap } from "../modifiers/soft-cap.ts";
import { slidingWindow } from "../patterns/sliding-window.ts";

const heads = 4;

/** A random call with a random tile in it. */
function randomTile(seed: number, index: number) {
  const stream = randomStream({ seed, path: "tile", step: index });
  let drawn = 0;
  const draw = (bound: number) => stream.integer(drawn++, bound);
  const [rows, keyLength, queryOffset] = [1 + draw(20), 1 + draw(90), draw(12)];
  const range = (first: number, length: number) => {
    const [start, step] = [draw(length), 1 + draw(3)];
    return { start: first + start, step, count: 1 + draw(Math.floor((length - 1 - start) / step) + 1) };
  };
  const attribute = (length: number) => Int32Array.from({ length }, () => draw(9) - 4);
  return {
    queries: range(queryOffset, rows),
    keys: range(0, keyLength),
    head: draw(heads),
    queryLength: Math.min(64, queryOffset + rows),
    keyLength: Math.min(64, keyLength),
    queryOffset,
    attributes: {
      query: { a: attribute(rows), b: attribute(rows) },
      key: { a: attribute(keyLength), b: attribute(keyLength) },
    },
    draw,
  };
}

type Tile = ModifierContext & Pick<ReturnType<typeof randomTile>, "queryOffset" | "attributes" | "head">;

function maskByTruth(node: Parameters<typeof allows>[0], tile: Tile): number[] {
  const bits: number[] = [];
  const { queries, keys, head, queryLength, keyLength, attributes, queryOffset } = tile;
  for (let i = 0; i < queries.count; i++)
    for (let j = 0; j < keys.count; j++) {
      const [query, key] = [queries.start + i * queries.step, keys.start + j * keys.step];
      const row = query - queryOffset;
      const pair = {
        query: { a: attributes.query.a[row] ?? 0, b: attributes.query.b[row] ?? 0 },
        key: { a: attributes.key.a[key] ?? 0, b: attributes.key.b[key] ?? 0 },
      };
      bits.push(allows(node, { query, key, head, queryLength, keyLength, attributes: pair }) ? 1 : 0);
    }
  return bits;
}

describe("emitMask", () => {
  it("agrees with allows on 4,000 random expressions and tiles", () => {
    let [allowed, refused] = [0, 0];
    for (let index = 0; index < 4000; index++) {
      const node = randomExpression({ seed: 5, index });
      const tile = randomTile(6, index);
      const found = startWasmTile(emitMask(node)).mask(tile);
      const truth = maskByTruth(node, tile);
      if (!truth.every((bit, at) => bit === found.bits[at]))
        expect([...found.bits], `expression ${index}: ${JSON.stringify(node)}`).toEqual(truth);
      const count = truth.reduce((sum, bit) => sum + bit, 0);
      expect(found.allowed, `expression ${index}`).toBe(count);
      allowed += count;
      refused += truth.length - count;
    }
    expect(Math.min(allowed, refused) / (allowed + refused)).toBeGreaterThan(0.2);
  });

  it("floors division and modulo of negative numbers, by powers of two and others", () => {
    for (const divisor of [1, 2, 3, 5, 8, 64, 2 ** 30, 2 ** 31 - 1])
      for (const value of [-(2 ** 31), -65, -64, -9, -8, -7, -1, 0, 1, 7, 8, 2 ** 31 - 1]) {
        const quotient = constant(value)
          .dividedBy(divisor)
          .equals(Math.floor(value / divisor));
        const rest = constant(value)
          .modulo(divisor)
          .equals(value - Math.floor(value / divisor) * divisor);
        const one = { start: 0, step: 1, count: 1 };
        const tile = { queries: one, keys: one, queryLength: 1, keyLength: 1 };
        const { allowed } = startWasmTile(emitMask(quotient.and(rest).node)).mask(tile);
        expect(allowed, `${value} by ${divisor}`).toBe(1);
      }
  });

  it("writes 64 keys a word, low bit first, with zeros past the last", () => {
    const { bytes } = emitMask(
      slidingWindow({ before: 1 }).resolve({ heads: 1, queryLength: 70, keyLength: 70 }),
    );
    const memory = new WebAssembly.Memory({ initial: 1 });
    const instance = new WebAssembly.Instance(new WebAssembly.Module(bytes), { env: { memory } });
    const mask = instance.exports["mask"] as (...args: readonly number[]) => number;
    new Uint8Array(memory.buffer).fill(0xff);
    expect(mask(16, 64, 1, 2, 0, 1, 70, 0, 70, 70, 0, 0, 0, 0)).toBe(4);
    const words = new BigUint64Array(memory.buffer, 16, 5);
    expect([...words]).toEqual([1n << 63n, 1n, 0n, 0b11n, 0xffffffffffffffffn]);
  });

  it("takes a shared memory when asked to", () => {
    const { bytes } = emitMask(
      slidingWindow({ before: 1 }).resolve({ heads: 1, queryLength: 4, keyLength: 4 }),
      {
        sharedMemory: true,
      },
    );
    const memory = new WebAssembly.Memory({ initial: 1, maximum: 4, shared: true });
    const instance = new WebAssembly.Instance(new WebAssembly.Module(bytes), { env: { memory } });
    const mask = instance.exports["mask"] as (...args: readonly number[]) => number;
    expect(mask(16, 0, 1, 4, 0, 1, 4, 0, 4, 4, 0, 0, 0, 0)).toBe(7);
  });

  it("makes the same bytes for the same tree", () => {
    const make = () =>
      emitMask(slidingWindow({ before: 3 }).resolve({ heads: 1, queryLength: 4, keyLength: 4 })).bytes;
    expect(make()).toEqual(make());
    expect(make().length).toBeLessThan(400);
  });
});

/** A tile with scores and the two tensors that random modifiers look up. */
function modifierTile(seed: number, index: number) {
  const { draw, ...tile } = randomTile(seed, index);
  const floats = (length: number, scale: number) =>
    Float32Array.from({ length }, () => ((draw(201) - 100) / 100) * scale);
  const scores = floats(tile.queries.count * tile.keys.count, 6);
  const rows = tile.queryLength + 12;
  return {
    tile: {
      ...tile,
      lookups: {
        bias: { values: floats(rows * 20 + 3, 2), offset: 3, length: 20, rowStride: 20 },
        slope: { values: floats(2, 1), length: 2 },
      },
    },
    scores,
    upstream: floats(scores.length, 1),
  };
}

function expectClose(found: Float32Array, truth: Float32Array, what: string): void {
  expect(found.length).toBe(truth.length);
  for (let at = 0; at < truth.length; at++) {
    const off = Math.abs(found[at]! - truth[at]!) / Math.max(1, Math.abs(truth[at]!));
    if (!(off < 2e-5)) expect(found[at], `${what} at ${at}`).toBeCloseTo(truth[at]!, 5);
  }
}

describe("emitModifier", () => {
  it("agrees with applyModifier on 500 random modifiers, with its derivative and lookup gradients", () => {
    for (let index = 0; index < 500; index++) {
      const node = randomModifier({ seed: 7, index });
      const { tile, scores, upstream } = modifierTile(8, index);
      const wasm = startWasmTile(emitModifier(node));
      expectClose(
        wasm.scores("modify", scores, tile),
        applyModifier(node, scores, tile),
        `modifier ${index}`,
      );
      const derivative = applyModifier(scoreDerivative(node), scores, tile);
      expectClose(wasm.scores("scoreDerivative", scores, tile), derivative, `derivative ${index}`);
      const gradients = wasm.lookupGradients(scores, upstream, tile);
      const truth = { bias: new Float64Array(tile.lookups.bias.values.length), slope: new Float64Array(2) };
      for (const { lookup: read, derivative: tree } of lookupDerivatives(node)) {
        const [name, values] = [read.table as "bias" | "slope", applyModifier(tree, scores, tile)];
        const indices = applyModifier({ op: "fromInteger", operand: read.index }, scores, tile);
        const { length, rowStride = 0, offset = 0 } = { offset: 0, rowStride: 0, ...tile.lookups[name] };
        for (let at = 0; at < values.length; at++) {
          const query = tile.queries.start + Math.floor(at / tile.keys.count) * tile.queries.step;
          const entry = indices[at]!;
          if (entry >= 0 && entry < length)
            truth[name][offset + (query - tile.queryOffset) * rowStride + entry]! +=
              upstream[at]! * values[at]!;
        }
      }
      for (const [name, values] of Object.entries(gradients))
        expectClose(
          values,
          Float32Array.from(truth[name as "bias" | "slope"]),
          `gradient of ${name} ${index}`,
        );
    }
  });

  it("has exp and tanh within 2e-7 of the exact ones", () => {
    const scores = Float32Array.from({ length: 40_001 }, (_, at) => (at - 20_000) / 200);
    const tile = {
      queries: { start: 0, step: 1, count: 1 },
      keys: { start: 0, step: 1, count: scores.length },
      queryLength: 1,
      keyLength: scores.length,
    };
    const exp = startWasmTile(emitModifier(score.exp().node)).scores("modify", scores, tile);
    const tanh = startWasmTile(emitModifier(score.tanh().node)).scores("modify", scores, tile);
    let [worstExp, worstTanh] = [0, 0];
    for (let at = 0; at < scores.length; at++) {
      const exact = Math.exp(scores[at]!);
      if (exact > 1.2e-38 && exact < 3.4e38)
        worstExp = Math.max(worstExp, Math.abs(exp[at]! - exact) / exact);
      worstTanh = Math.max(
        worstTanh,
        Math.abs(tanh[at]! - Math.tanh(scores[at]!)) / Math.abs(Math.tanh(scores[at]!) || 1),
      );
    }
    expect(worstExp).toBeLessThan(2e-7);
    expect(worstTanh).toBeLessThan(2e-7);
    expect([exp[0], exp.at(-1), tanh[0], tanh.at(-1)]).toEqual([
      Math.fround(Math.exp(-100)),
      Infinity,
      -1,
      1,
    ]);
  });

  it("gives Not-a-Number and infinities as they should be", () => {
    const scores = new Float32Array([NaN, Infinity, -Infinity]);
    const range = { start: 0, step: 1, count: 3 };
    const tile = { queries: { ...range, count: 1 }, keys: range, queryLength: 1, keyLength: 3 };
    const run = (node: Parameters<typeof emitModifier>[0]) => [
      ...startWasmTile(emitModifier(node)).scores("modify", scores, tile),
    ];
    expect(run(score.exp().node)).toEqual([NaN, Infinity, 0]);
    expect(run(softCap({ cap: 2 }).score)).toEqual([NaN, 2, -2]);
  });

  it("adds nothing where no gradient flows, whatever the derivative is there", () => {
    const { query, key } = variables;
    // 1, 1 and Infinity.
    const steep = fromInteger(key.minus(query).maximum(0)).times(100).exp();
    const tile: ModifierContext = {
      queries: { start: 1, step: 1, count: 1 },
      keys: { start: 0, step: 1, count: 3 },
      queryLength: 2,
      keyLength: 3,
      lookups: { slope: { values: new Float32Array(1), length: 1 } },
    };
    const gradients = (factor: NumberExpression, upstream: readonly number[]): number[] => {
      const wasm = startWasmTile(emitModifier(score.plus(lookup("slope", 0).times(factor)).node));
      return [...wasm.lookupGradients(new Float32Array(3), Float32Array.from(upstream), tile)["slope"]!];
    };
    const unknown = steep.dividedBy(steep.plus(1));
    expect(gradients(unknown, [2, 4, 0])).toEqual([3]);
    expect(gradients(unknown, [2, 4, 1])).toEqual([Number.NaN]);
    expect(gradients(steep, [2, 4, 2 ** -120])[0]).toBeCloseTo(6 + 3e38 * 2 ** -120);
  });

  it("applies ALiBi-like slopes read once a head", () => {
    const { query, key } = variables;
    const node = score.plus(lookup("slope", 0).times(fromInteger(key.minus(query)))).node;
    const tile = {
      queries: { start: 2, step: 1, count: 1 },
      keys: { start: 0, step: 1, count: 3 },
      queryLength: 3,
      keyLength: 3,
      lookups: { slope: { values: new Float32Array([9, 0.5]), offset: 1, length: 1 } },
    };
    const wasm = startWasmTile(emitModifier(node));
    expect([...wasm.scores("modify", new Float32Array([1, 1, 1]), tile)]).toEqual([0, 0.5, 1]);
    expect([...wasm.scores("scoreDerivative", new Float32Array(3), tile)]).toEqual([1, 1, 1]);
    const upstream = new Float32Array([1, 10, 100]);
    expect([...wasm.lookupGradients(new Float32Array(3), upstream, tile)["slope"]!]).toEqual([0, -2 - 10]);
  });
});
