import * as tf from "@tensorflow/tfjs-core";
import type { Tensor } from "@tensorflow/tfjs-core";
import {
  attentionLayer,
  largestDifference,
  readGolden,
  relativeDifference,
  testMechanism,
  useBackend,
} from "@heddle/conformance";
import type { AttentionLayer, BackendName } from "@heddle/conformance";
import { createWeights, differentiate, randomStream } from "@heddle/core";
import { describe, expect, it } from "vitest";
import { createKeyValueCache } from "../cache.ts";
import { full } from "../patterns/full.ts";
import { longformer } from "./longformer.ts";

const [batch, length, heads, headWidth] = [2, 12, 3, 2] as const;
const width = heads * headWidth;
const backends: readonly BackendName[] = ["cpu", "wasm"];

interface Tokens {
  readonly keep: Int32Array;
  readonly global: Int32Array;
}
const flags = (list: readonly number[]): Int32Array => Int32Array.from(list);
const all = new Int32Array(batch * length).fill(1);
const none = new Int32Array(batch * length);
/** Two globals in the first row, one of them padding in the second. */
const some = flags([1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 1, 0, 0]);
const kept = all.map((_, i) => Number(i < 11 || (i >= 12 && i < 20)));

const attributesOf = ({ keep, global }: Tokens) => ({
  batch,
  query: { keep, global },
  key: { keep, global },
});

/** Longformer by its definition, in double precision: Hugging Face's LongformerSelfAttention, token by token. */
function plainLongformer(
  x: ArrayLike<number>,
  { parameters }: AttentionLayer,
  { keep, global }: Tokens,
  { side, dilation = [1, 1, 1], causal = false }: { side: number; dilation?: number[]; causal?: boolean },
): Float64Array {
  const values = Object.fromEntries(parameters.map(({ name, tensor }) => [name, tensor().dataSync()]));
  const project = (role: string, b: number, t: number, head: number): number[] =>
    Array.from({ length: headWidth }, (_, d) => {
      const out = head * headWidth + d;
      let sum = values[`${role}.bias`]![out]!;
      for (let i = 0; i < width; i++)
        sum += values[`${role}.weight`]![out * width + i]! * x[(b * length + t) * width + i]!;
      return sum;
    });
  const result = new Float64Array(batch * length * width);
  for (let b = 0; b < batch; b++)
    for (let head = 0; head < heads; head++)
      for (let t = 0; t < length; t++) {
        if (!keep[b * length + t]) continue;
        const isGlobal = global[b * length + t] === 1;
        const suffix = isGlobal ? "_global" : "";
        const q = project(`query${suffix}`, b, t, head).map((value) => value / Math.sqrt(headWidth));
        const step = dilation[head]!;
        const seen = Array.from({ length }, (_, j) => j).filter((j) => {
          if (!keep[b * length + j] || (causal && j > t)) return false;
          const inBand = Math.abs(j - t) <= side * step && (j - t) % step === 0;
          return isGlobal || inBand || global[b * length + j] === 1;
        });
        const weights = seen.map((j) =>
          Math.exp(project(`key${suffix}`, b, j, head).reduce((sum, k, d) => sum + k * q[d]!, 0)),
        );
        const total = weights.reduce((sum, weight) => sum + weight, 0);
        seen.forEach((j, at) =>
          project(`value${suffix}`, b, j, head).forEach((v, d) => {
            const to = (b * length + t) * width + head * headWidth + d;
            result[to] = result[to]! + (weights[at]! / total) * v;
          }),
        );
      }
  return result;
}

const input = (): Tensor =>
  tf.tensor3d(randomStream({ seed: 2 }).normals(batch * length * width), [batch, length, width]);

describe.each(backends)("longformer on %s", (backend) => {
  useBackend(backend);
  testMechanism(longformer({ window: 4 }));

  it.each<[string, Tokens, { dilation?: number[]; causal?: boolean }]>([
    ["no globals", { keep: all, global: none }, {}],
    ["globals of each example", { keep: all, global: some }, {}],
    ["all global", { keep: all, global: all }, {}],
    ["padding, one global among it", { keep: kept, global: some }, {}],
    ["padding, all that is kept global", { keep: kept, global: kept }, {}],
    ["padding, and no global elsewhere", { keep: kept, global: kept.map((keep) => 1 - keep) }, {}],
    ["a dilation for each head", { keep: all, global: some }, { dilation: [1, 2, 3] }],
    ["causal", { keep: all, global: some }, { causal: true }],
    ["causal, dilated, padded", { keep: kept, global: some }, { dilation: [1, 2, 3], causal: true }],
  ])("is the definition: %s", (_, tokens, { dilation = [1, 1, 1], causal = false }) => {
    const layer = attentionLayer(longformer({ window: 4, dilation }), { width, heads, causal });
    const x = input();
    const out = tf.tidy(() =>
      layer.forward(x, { attributes: attributesOf(tokens), padded: tokens.keep !== all }),
    );
    const expected = plainLongformer(x.dataSync(), layer, tokens, { side: 2, dilation, causal });
    expect(largestDifference(out.dataSync(), expected)).toBeLessThan(1e-5);
    tf.dispose([x, out]);
    layer.weights.dispose();
  });

  it("needs no attribute where there are no globals", () => {
    const layer = attentionLayer(longformer({ window: 4 }), { width, heads });
    const x = input();
    const out = tf.tidy(() => layer.forward(x));
    const expected = plainLongformer(x.dataSync(), layer, { keep: all, global: none }, { side: 2 });
    expect(largestDifference(out.dataSync(), expected)).toBeLessThan(1e-5);
    tf.dispose([x, out]);
    layer.weights.dispose();
  });

  it("takes any number but 0 for a global token, as globalTokens does", () => {
    const layer = attentionLayer(longformer({ window: 4 }), { width, heads });
    const x = input();
    const run = (global: Int32Array): Float32Array =>
      tf.tidy(() =>
        layer
          .forward(x, { attributes: attributesOf({ keep: all, global }) })
          .dataSync()
          .slice(),
      ) as Float32Array;
    expect([...run(some.map((flag) => 3 * flag))]).toEqual([...run(some)]);
    x.dispose();
    layer.weights.dispose();
  });

  it("is Hugging Face's, forward and backward, with padding and globals of each example", async () => {
    const golden = await readGolden(new URL("../goldens/attention.safetensors", import.meta.url));
    const floats = (role: string, name: string): Float32Array<ArrayBuffer> =>
      golden.floats(`longformer/${role}/${name}`);
    const layer = attentionLayer(longformer({ window: 4 }), { width: 15, heads: 3 });
    for (const parameter of layer.parameters) parameter.assign(floats("input", parameter.name));
    const x = tf.tensor3d(floats("input", "hidden"), [2, 12, 15]);
    const dy = tf.tensor3d(floats("input", "cotangent.output"), [2, 12, 15]);
    const keep = golden.integers("longformer/input/attentionMask");
    const global = golden.integers("longformer/input/globalMask");
    const { value, gradients } = differentiate(
      () => layer.forward(x, { padded: true, attributes: attributesOf({ keep, global }) }),
      [x, ...layer.parameters],
      dy,
    );
    expect(largestDifference(value.dataSync(), floats("output", "output"))).toBeLessThan(1e-5);
    const names = ["hidden", ...layer.parameters.map(({ name }) => name)];
    const found = gradients.flatMap((gradient) => [...gradient!.dataSync()]);
    const expected = names.flatMap((name) => [...floats("gradient", name)]);
    expect(relativeDifference(found, expected)).toBeLessThan(1e-4);
    tf.dispose([x, dy, value, ...gradients.map((gradient) => gradient!)]);
    layer.weights.dispose();
  });
});

describe("longformer's weights and refusals", () => {
  useBackend("cpu");

  it.each([
    ["separate", undefined, 6],
    ["separate, fewer key heads", undefined, 2],
    ["fused", { fused: "c_attn" }, 6],
    ["fused, fewer key heads", { fused: "c_attn" }, 2],
  ] as const)("start as copies of the layer's projections: %s", (_, names, keyHeads) => {
    const spec = { width: 12, heads: 6, keyHeads, ...(names && { names }) };
    const base = createWeights({ seed: 1 });
    const plain = attentionLayer(full(), spec, base);
    const overlay = base.overlay();
    attentionLayer(longformer({ window: 2 }), spec, overlay);
    const roles = ["query", "key", "value"];
    expect(overlay.added).toEqual(roles.flatMap((role) => [`${role}_global.weight`, `${role}_global.bias`]));
    const outs = [12, keyHeads * 2, keyHeads * 2];
    const read = (name: string): Float32Array => overlay.all.get(name)!.tensor().dataSync() as Float32Array;
    let begin = 0;
    roles.forEach((role, i) => {
      const out = outs[i]!;
      if (names) {
        const total = outs[0]! + outs[1]! + outs[2]!;
        const fused = read("c_attn.weight");
        const turned = Array.from(
          { length: out * 12 },
          (_, at) => fused[(at % 12) * total + begin + Math.floor(at / 12)]!,
        );
        expect([...read(`${role}_global.weight`)]).toEqual(turned);
        expect(read(`${role}_global.bias`)).toEqual(read("c_attn.bias").slice(begin, begin + out));
      } else
        for (const part of ["weight", "bias"])
          expect(read(`${role}_global.${part}`)).toEqual(read(`${role}.${part}`));
      begin += out;
    });
    overlay.dispose();
    base.dispose();
    expect(plain.parameters.length).toBeGreaterThan(0);
  });

  it("gives every token what full attention gives when all are global copies", () => {
    const base = createWeights({ seed: 1 });
    const plain = attentionLayer(full(), { width, heads }, base);
    const overlay = base.overlay();
    const swapped = attentionLayer(longformer({ window: 2 }), { width, heads }, overlay);
    const x = input();
    const [a, b] = tf.tidy(() => [
      plain.forward(x),
      swapped.forward(x, { attributes: attributesOf({ keep: all, global: all }) }),
    ]);
    expect(largestDifference(b!.dataSync(), a!.dataSync())).toBeLessThan(1e-6);
    tf.dispose([x, a!, b!]);
    overlay.dispose();
    base.dispose();
  });

  it.each<[object, string]>([
    [{ window: 3 }, "longformer: window must be even, got 3"],
    [{ window: 0 }, "longformer: window must be an integer >= 2, got 0"],
    [{ window: 4, dilation: 0 }, "dilation"],
  ])("refuses %j", (options, message) => {
    expect(() => longformer(options as { window: number })).toThrow(message);
  });

  it("refuses a cache, maps, a dilation for other heads, and a batch that is all padding", () => {
    const layer = attentionLayer(longformer({ window: 4 }), { width, heads });
    const other = attentionLayer(longformer({ window: 4, dilation: [1, 2] }), { width, heads });
    const x = input();
    const attempt =
      (context: object, from = layer) =>
      () =>
        tf.tidy(() => from.forward(x, context));
    const cache = createKeyValueCache({ layers: 1, batch, capacity: length });
    expect(attempt({ cache })).toThrow(
      ": attention: mechanism longformer does not work with a cache: run without one",
    );
    expect(attempt({ maps: { wants: () => true, give: () => undefined } })).toThrow(
      ": attention: mechanism longformer gives no attention maps",
    );
    expect(attempt({}, other)).toThrow("heads must be 2, as its options say, got 3");
    expect(attempt({ padded: true, attributes: attributesOf({ keep: none, global: none }) })).toThrow(
      "must allow at least one pair of 12 queries and 12 keys",
    );
    x.dispose();
    layer.weights.dispose();
    other.weights.dispose();
  });
});
