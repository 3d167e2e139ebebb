import * as tf from "@tensorflow/tfjs-core";
import type { Tensor } from "@tensorflow/tfjs-core";
import {
  attentionLayer,
  drawParameter,
  expectGradients,
  largestDifference,
  plainAttention,
  plainContext,
  useBackend,
} from "@heddle/conformance";
import type { AttentionLayer, PlainTensor } from "@heddle/conformance";
import {
  and,
  causal,
  createKeyValueCache,
  documents,
  full,
  padding,
  slidingWindow,
  softCap,
} from "@heddle/attention";
import type { AttentionMechanism, AttentionPattern, TokenAttributes } from "@heddle/attention";
import { createWeights } from "@heddle/core";
import { describe, expect, it } from "vitest";
import { selfAttention } from "./self-attention.ts";
import type { SelfAttentionSpec } from "./self-attention.ts";

const [batch, length, width, heads] = [2, 5, 8, 4] as const;
type Spec = Omit<SelfAttentionSpec, "attention" | "layer">;
const specs: readonly [string, Spec][] = [
  ["three projections", { width, heads }],
  ["three projections, two key heads", { width, heads, keyHeads: 2 }],
  ["names of its own", { width, heads, names: { query: "q_lin", key: "k_lin", value: "v_lin" } }],
  ["one fused projection", { width, heads, names: { fused: "c_attn" } }],
  ["one fused projection, one key head", { width, heads, keyHeads: 1, names: { fused: "c_attn" } }],
];

/** What a layer's projections make of x, in double precision, as [B, heads, L, D]. */
function projected(x: ArrayLike<number>, { parameters }: AttentionLayer, spec: Spec): PlainTensor[] {
  const { keyHeads = heads, names = { query: "query", key: "key", value: "value" } } = spec;
  const depth = width / heads;
  const values = Object.fromEntries(parameters.map(({ name, tensor }) => [name, tensor().dataSync()]));
  const counts = [heads, keyHeads, keyHeads];
  const total = depth * (heads + 2 * keyHeads);
  return counts.map((count, part) => {
    const begin = counts.slice(0, part).reduce((sum, each) => sum + each * depth, 0);
    const entry = (at: number, out: number): number => {
      const fused = "fused" in names;
      const name = fused ? names.fused : [names.query, names.key, names.value][part]!;
      const weight = values[`${name}.weight`]!;
      let sum = values[`${name}.bias`]![fused ? begin + out : out]!;
      for (let i = 0; i < width; i++)
        sum += x[at * width + i]! * (fused ? weight[i * total + begin + out]! : weight[out * width + i]!);
      return sum;
    };
    const result = new Float64Array(batch * count * length * depth);
    for (let b = 0; b < batch; b++)
      for (let head = 0; head < count; head++)
        for (let t = 0; t < length; t++)
          for (let d = 0; d < depth; d++)
            result[((b * count + head) * length + t) * depth + d] = entry(b * length + t, head * depth + d);
    return { shape: [batch, count, length, depth], values: result };
  });
}

/** [B, H, L, D] to [B, L, H D]. */
function merged(values: Float64Array): number[] {
  const depth = width / heads;
  return Array.from({ length: values.length }, (_, at) => {
    const [b, t, head, d] = [
      Math.floor(at / (length * width)),
      Math.floor(at / width) % length,
      Math.floor((at % width) / depth),
      at % depth,
    ];
    return values[((b * heads + head) * length + t) * depth + d]!;
  });
}

const keep = Int32Array.of(1, 1, 1, 1, 1, 1, 1, 1, 0, 0);
const padded: TokenAttributes = { batch, query: { keep }, key: { keep } };

describe.each(["cpu", "wasm"] as const)("selfAttention on %s", (backend) => {
  useBackend(backend);

  it.each(specs)("is projections, attention and heads side by side: %s", async (_, spec) => {
    for (const isCausal of [false, true]) {
      const layer = attentionLayer(slidingWindow({ before: 2, after: 1 }), { ...spec, causal: isCausal });
      const x = drawParameter("x", [batch, length, width]);
      const context = { modifiers: [softCap({ cap: 2 })], attributes: padded, padded: true };
      const out = tf.tidy(() => layer.forward(x.tensor(), context));
      const [q, k, v] = projected(x.tensor().dataSync(), layer, spec) as [
        PlainTensor,
        PlainTensor,
        PlainTensor,
      ];
      const parts: AttentionPattern[] = [slidingWindow({ before: 2, after: 1 }), padding()];
      const { output } = plainAttention({
        q,
        k,
        v,
        pattern: and(...parts, ...(isCausal ? [causal()] : [])),
        attributes: padded,
        modifiers: [softCap({ cap: 2 })].map(({ score }) => ({ score })),
      });
      expect(out.shape).toEqual([batch, length, width]);
      expect(largestDifference(out.dataSync(), merged(output))).toBeLessThan(1e-5);
      out.dispose();
      await expectGradients(() => layer.forward(x.tensor(), context), [x, ...layer.parameters]);
      x.dispose();
      layer.weights.dispose();
    }
  });

  it("decodes with a cache what the whole pass gives", () => {
    const layer = attentionLayer(full(), { width, heads, keyHeads: 2, causal: true });
    const x = drawParameter("x", [batch, length, width]);
    const whole = tf.tidy(() => layer.forward(x.tensor()));
    const cache = createKeyValueCache({ layers: 1, batch, capacity: length });
    const steps: Tensor[] = [];
    for (let t = 0; t < length; t++) {
      steps.push(tf.tidy(() => layer.forward(tf.slice(x.tensor(), [0, t, 0], [batch, 1, width]), { cache })));
      cache.advance(1);
    }
    const joined = tf.concat(steps, 1);
    expect(largestDifference(joined.dataSync(), whole.dataSync())).toBeLessThan(1e-6);
    tf.dispose([...steps, joined, whole]);
    cache.dispose();
    x.dispose();
    layer.weights.dispose();
  });

  it("drops probabilities in training only, by seed, step and place", () => {
    const layer = attentionLayer(full(), { width, heads, dropout: 0.5 });
    const x = drawParameter("x", [batch, length, width]);
    const run = (training?: { seed: number; step: number }): Float32Array => {
      const out = tf.tidy(() => layer.forward(x.tensor(), training && { training }));
      const values = out.dataSync().slice() as Float32Array;
      out.dispose();
      return values;
    };
    expect(run()).toEqual(run());
    expect(run({ seed: 1, step: 3 })).toEqual(run({ seed: 1, step: 3 }));
    for (const other of [undefined, { seed: 1, step: 4 }, { seed: 2, step: 3 }])
      expect(run(other)).not.toEqual(run({ seed: 1, step: 3 }));
    x.dispose();
    layer.weights.dispose();
  });

  it("scales scores as it is told, and turns queries and keys", () => {
    const x = drawParameter("x", [batch, length, width]);
    const make = (scale?: number): AttentionLayer =>
      attentionLayer(
        full(),
        { width, heads, ...(scale !== undefined && { scale }) },
        createWeights({ seed: 3 }),
      );
    const [plain, same, half] = [
      make(),
      make(1 / Math.sqrt(width / heads)),
      make(0.5 / Math.sqrt(width / heads)),
    ];
    const root = Math.SQRT1_2;
    const results = tf.tidy(() => [
      plain.forward(x.tensor()),
      same.forward(x.tensor()),
      half.forward(x.tensor()),
      plain.forward(x.tensor(), { turn: (y) => tf.mul(y, root) }),
    ]);
    const [a, b, c, d] = results.map((result) => result.dataSync());
    expect(b).toEqual(a);
    expect(largestDifference(c!, a!)).toBeGreaterThan(1e-2);
    expect(largestDifference(d!, c!)).toBeLessThan(1e-5);
    tf.dispose(results);
    x.dispose();
    for (const layer of [plain, same, half]) layer.weights.dispose();
  });

  it("gives the maps that are asked for", () => {
    const layer = attentionLayer(full(), { width, heads, causal: true, layer: 2 });
    const x = drawParameter("x", [batch, length, width]);
    const given: [number, Tensor][] = [];
    const maps = {
      heads: [1],
      rows: [0, 4],
      wants: (number: number) => number === 2,
      give: (number: number, map: Tensor) => void given.push([number, tf.keep(map)]),
    };
    tf.tidy(() => void layer.forward(x.tensor(), { maps }));
    const [[number, map]] = given as [[number, Tensor]];
    expect(number).toBe(2);
    expect(map.shape).toEqual([batch, 1, 2, length]);
    const values = [...map.dataSync()];
    expect(values.slice(0, length)).toEqual([1, 0, 0, 0, 0]);
    expect(values.slice(length, 2 * length).reduce((a, b) => a + b, 0)).toBeCloseTo(1, 5);
    map.dispose();
    tf.tidy(() => void layer.forward(x.tensor(), { maps: { ...maps, wants: () => false } }));
    expect(given).toHaveLength(1);
    x.dispose();
    layer.weights.dispose();
  });
});

describe("what selfAttention refuses", () => {
  useBackend("cpu");
  const none: AttentionMechanism = {
    kind: "mechanism",
    name: "none",
    options: {},
    capabilities: { causal: false, cache: false, maps: false },
    build: () => () => tf.zeros([1]),
  };
  const define = (spec: object) => () =>
    selfAttention(createWeights().at("h.0"), { width, heads, attention: full(), layer: 0, ...spec });

  it.each<[object, string]>([
    [{ heads: 0 }, "h.0: attention: heads must be an integer >= 1, got 0"],
    [{ heads: 3 }, "h.0: attention: width must be a multiple of the 3 heads, got 8"],
    [{ keyHeads: 3 }, "h.0: attention: heads must be a multiple of the 3 key heads, got 4"],
    [{ keyHeads: 8 }, "h.0: attention: keyHeads must be an integer from 1 to 4, got 8"],
    [{ dropout: 1 }, "h.0: attention: dropout must be a number from 0 to 0.9999999"],
    [{ attention: undefined }, "h.0: attention must be a pattern or a mechanism, got undefined"],
    [
      { attention: none, causal: true },
      "h.0: attention: mechanism none must have a causal form to be used in a decoder, and has none",
    ],
  ])("%j", (spec, message) => {
    expect(define(spec)).toThrow(message);
  });

  it("maps with a cache, and attributes that a pattern reads and the call lacks", () => {
    const layer = attentionLayer(documents(), { width, heads });
    const cache = createKeyValueCache({ layers: 1, batch, capacity: length });
    const x = drawParameter("x", [batch, length, width]);
    const maps = { wants: () => true, give: () => undefined };
    expect(() => tf.tidy(() => layer.forward(x.tensor(), { cache, maps }))).toThrow(
      "maps must be asked for without a cache",
    );
    expect(() => tf.tidy(() => layer.forward(x.tensor()))).toThrow(
      "documents: mask: attributes.query.document must be an Int32Array of 1 x 5 integers",
    );
    expect(plainContext(2).positions).toEqual(Int32Array.of(0, 1));
    cache.dispose();
    x.dispose();
    layer.weights.dispose();
  });
});
