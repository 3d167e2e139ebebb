import {
  causal,
  full,
  globalTokens,
  longformer as longformerAttention,
  or,
  slidingWindow,
} from "@heddle/attention";
import type { Attention } from "@heddle/attention";
import { useBackend } from "@heddle/conformance";
import { createWeights } from "@heddle/core";
import { alibi, learned, relativeBias, sinusoidal } from "@heddle/positions";
import * as tf from "@tensorflow/tfjs-core";
import { describe, expect, it } from "vitest";
import { bert } from "./bert/bert.ts";
import { gpt } from "./gpt/gpt.ts";
import { loadModel } from "./load-model.ts";
import { longformer } from "./longformer/longformer.ts";
import type { Model, Swap } from "./model.ts";

const families = [gpt, bert, longformer];
const options = { vocabularySize: 11, maxLength: 12, width: 8, layers: 2, heads: 2 };
const inputs = {
  ids: [[1, 2, 3, 4, 5, 6]],
  attentionMask: [[1, 1, 1, 1, 1, 0]],
  globalAttentionMask: [[0, 1, 0, 0, 0, 0]],
};
const withGlobals = longformerAttention({ window: 2 });
const local = or(slidingWindow({ before: 1 }), globalTokens([0]));

async function logits(model: Model): Promise<number[]> {
  const out = model.forward(inputs);
  const values = [...(await out.logits!.data())];
  out.dispose();
  return values;
}

/** Saves and loads, and what was written under `heddle`. */
async function again(model: Model): Promise<{ model: Model; heddle: unknown }> {
  const files = new Map<string, Blob>();
  await model.save(files);
  const { heddle } = JSON.parse(await files.get("config.json")!.text()) as { heddle?: unknown };
  return { heddle, model: (await loadModel(files, { families })).model };
}

const valuesOf = async (model: Model, name: string): Promise<number[]> => [
  ...(await model.weights.all.get(name)!.tensor().data()),
];

describe("with", () => {
  useBackend("cpu");

  it("shares every parameter, so that a change in one model is a change in the other", async () => {
    const model = gpt(options, createWeights({ seed: 1 }));
    const swapped = model.with({ attention: local });
    expect(swapped.added).toEqual([]);
    for (const [i, parameter] of model.parameters.entries()) expect(swapped.parameters[i]).toBe(parameter);
    expect(await logits(swapped)).not.toEqual(await logits(model));
    const same = model.with({ attention: full() });
    expect(await logits(same)).toEqual(await logits(model));
    const before = await logits(swapped);
    const bias = model.weights.declared.get("ln_f.bias")!;
    bias.assign(new Float32Array(8).fill(1));
    expect(await logits(swapped)).not.toEqual(before);
    model.dispose();
  });

  it("frees its own additions only", async () => {
    const model = bert(options, createWeights({ seed: 1 }));
    const expected = await logits(model);
    const held = tf.memory().numTensors;
    const swapped = model.with({ attention: withGlobals, position: relativeBias({ maxDistance: 2 }) });
    await logits(swapped);
    // Six global parameters a layer and one table, and the transposed weights of the six linear layers.
    expect(tf.memory().numTensors - held).toBe(2 * 6 + 1 + 2 * 3);
    swapped.dispose();
    expect(tf.memory().numTensors).toBe(held);
    expect(await logits(model)).toEqual(expected);
    expect(() => swapped.forward(inputs)).toThrow("must not be used after its weights were disposed");
    model.dispose();
  });

  it("starts global projections as copies of the layer's own, in each layout", async () => {
    const model = gpt(options, createWeights({ seed: 2 }));
    const swapped = model.with({ attention: [full(), withGlobals] });
    const roles = ["query", "key", "value"];
    expect(swapped.added).toEqual(
      roles.flatMap((role) => [`h.1.attn.${role}_global.weight`, `h.1.attn.${role}_global.bias`]),
    );
    const fused = await valuesOf(model, "h.1.attn.c_attn.weight");
    for (const [part, role] of roles.entries()) {
      const copy = await valuesOf(swapped, `h.1.attn.${role}_global.weight`);
      // Stored [in, 3 out] in the layer, [out, in] in the copy.
      const expected = Array.from(
        { length: 64 },
        (_, i) => fused[(i % 8) * 24 + part * 8 + Math.floor(i / 8)],
      );
      expect(copy).toEqual(expected);
    }
    const encoder = bert(options, createWeights({ seed: 2 }));
    const encoderSwapped = encoder.with({ attention: withGlobals });
    expect(await valuesOf(encoderSwapped, "encoder.layer.0.attention.self.key_global.weight")).toEqual(
      await valuesOf(encoder, "encoder.layer.0.attention.self.key.weight"),
    );
    model.dispose();
    swapped.dispose();
    encoder.dispose();
    encoderSwapped.dispose();
  });

  it("gives a Longformer's result when all its tokens are global and the projections are copies", async () => {
    const model = bert(options, createWeights({ seed: 3 }));
    const swapped = model.with({ attention: withGlobals });
    const all = { ids: inputs.ids, globalAttentionMask: [[1, 1, 1, 1, 1, 1]] };
    const [one, other] = [model, swapped].map((each) => each.forward(all));
    const expected = await one!.logits!.data();
    (await other!.logits!.data()).forEach((value, i) => expect(value).toBeCloseTo(expected[i]!, 6));
    one!.dispose();
    other!.dispose();
    swapped.dispose();
    model.dispose();
  });

  it("refuses what it cannot swap, instead of leaving it out", () => {
    const model = gpt(options, createWeights());
    const misspelt = { attentoin: local } as Swap;
    expect(() => model.with(misspelt)).toThrow(
      'gpt: swap must have only the fields attention, position, modifiers, got "attentoin"',
    );
    const size = { layers: 1 } as Swap;
    expect(() => model.with(size)).toThrow('got "layers"');
    model.dispose();
  });

  it("refuses lists of another length and a mechanism without a causal form, and leaks nothing", () => {
    const model = gpt(options, createWeights());
    expect(() => model.with({ attention: [full()] })).toThrow(
      "model: attention must be one value or hold one for each of 2 layers, got 1",
    );
    const routing: Attention = {
      ...withGlobals,
      name: "routing",
      capabilities: { ...withGlobals.capabilities, causal: false },
    };
    expect(() => model.with({ attention: routing })).toThrow(
      "h.0.attn: attention: mechanism routing must have a causal form to be used in a decoder, and has none",
    );
    model.dispose();
  });
});

describe("a swapped model, saved and loaded", () => {
  useBackend("cpu");

  it.each(families.map((family) => [family.family, family] as const))(
    "keeps what was swapped and added to %s, to the last bit",
    async (_, family) => {
      const model: Model = family(options, createWeights({ seed: 4 }));
      const swaps: readonly (readonly [Swap, object])[] = [
        [
          { attention: local },
          {
            attention: {
              name: "or",
              of: [
                { name: "sliding-window", before: 1, after: 0 },
                { name: "global-tokens", positions: [0] },
              ],
            },
          },
        ],
        [
          { attention: [withGlobals, causal()] },
          { attention: [{ name: "longformer", window: 2, dilation: 1 }, { name: "causal" }] },
        ],
        [
          { attention: withGlobals, position: relativeBias({ maxDistance: 2 }) },
          {
            attention: { name: "longformer", window: 2, dilation: 1 },
            position: { name: "relative-bias", maxDistance: 2 },
          },
        ],
        [{ position: alibi() }, { position: { name: "alibi" } }],
        [
          { position: sinusoidal({ base: 100 }) },
          { position: { name: "sinusoidal", layout: "interleaved", base: 100 } },
        ],
      ];
      for (const [swap, json] of swaps) {
        const swapped = model.with(swap);
        const { model: loaded, heddle } = await again(swapped);
        expect(heddle).toMatchObject(json);
        expect(loaded.parameters.map(({ name }) => name)).toEqual(swapped.parameters.map(({ name }) => name));
        expect(await logits(loaded)).toEqual(await logits(swapped));
        // All of the tree is in the file, so that swapping back gives the first model.
        expect([...loaded.weights.all.keys()].toSorted()).toEqual([...swapped.weights.all.keys()].toSorted());
        const plain = loaded.with({ attention: model.config.attention, position: learned() });
        expect(plain.added).toEqual([]);
        expect(await logits(plain)).toEqual(await logits(model));
        plain.dispose();
        loaded.dispose();
        swapped.dispose();
      }
      model.dispose();
    },
  );

  it("keeps what a swap back does not use", async () => {
    const model = gpt(options, createWeights({ seed: 5 }));
    const swapped = model.with({ attention: withGlobals, position: relativeBias({ maxDistance: 1 }) });
    const changed = swapped.weights.all.get("h.0.attn.value_global.bias")!;
    changed.assign(new Float32Array(8).fill(0.5));
    const back = swapped.with({ attention: full(), position: learned() });
    expect(back.added).toEqual([]);
    const { model: loaded, heddle } = await again(back);
    expect(heddle).toEqual({ kept: swapped.added });
    expect(await logits(loaded)).toEqual(await logits(model));
    expect(loaded.parameterCount()).toBe(model.parameterCount());
    const { model: twice, heddle: same } = await again(loaded);
    expect(same).toEqual(heddle);
    const forth = twice.with({ attention: withGlobals, position: relativeBias({ maxDistance: 1 }) });
    expect(forth.added).toEqual([]);
    expect(await logits(forth)).toEqual(await logits(swapped));
    for (const each of [forth, twice, loaded, back, swapped, model]) each.dispose();
  });

  it("keeps a swap of a swap", async () => {
    const model = bert(options, createWeights({ seed: 6 }));
    const first = model.with({ position: relativeBias({ maxDistance: 2 }) });
    const second = first.with({ attention: [withGlobals, local] });
    expect(first.added).toEqual(["embeddings.relative_bias.weight"]);
    expect(second.added).toHaveLength(6);
    const { model: loaded, heddle } = await again(second);
    expect(heddle).toMatchObject({ kept: ["embeddings.position_embeddings.weight"] });
    expect(await logits(loaded)).toEqual(await logits(second));
    for (const each of [loaded, second, first, model]) each.dispose();
  });

  it("is a plain checkpoint again when what it had is swapped back", async () => {
    const model = longformer({ ...options, window: [4, 2] }, createWeights({ seed: 7 }));
    const back = model.with({ attention: full() }).with({
      attention: [longformerAttention({ window: 4 }), longformerAttention({ window: 2 })],
    });
    const { model: loaded, heddle } = await again(back);
    expect(heddle).toBeUndefined();
    expect(loaded.config.attention).toMatchObject([{ options: { window: 4 } }, { options: { window: 2 } }]);
    expect(await logits(loaded)).toEqual(await logits(model));
    for (const each of [loaded, model]) each.dispose();
  });
});
