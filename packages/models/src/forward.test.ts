import {
  createKeyValueCache,
  documents,
  fromInteger,
  longformer,
  modifier,
  score,
  slidingWindow,
  softCap,
  variables,
} from "@heddle/attention";
import { largestDifference, useBackend } from "@heddle/conformance";
import { createWeights } from "@heddle/core";
import { alibi, relativeBias, rotary } from "@heddle/positions";
import type { Position } from "@heddle/positions";
import * as tf from "@tensorflow/tfjs-core";
import type { Tensor } from "@tensorflow/tfjs-core";
import { describe, expect, it } from "vitest";
import { bert } from "./bert/bert.ts";
import { gpt } from "./gpt/gpt.ts";
import type { ForwardOptions, Model } from "./model.ts";

const options = { vocabularySize: 11, maxLength: 12, width: 8, layers: 3, heads: 2 };
const ids = [
  [1, 2, 3, 4, 5],
  [6, 7, 8, 0, 0],
];
const attentionMask = [
  [1, 1, 1, 1, 1],
  [1, 1, 1, 0, 0],
];

const read = async (tensor: Tensor): Promise<number[]> => [...(await tensor.data())];

/** Values of some outputs of one forward pass. */
async function values(model: Model, forward: ForwardOptions = {}): Promise<number[]> {
  const out = model.forward({ ids }, forward);
  const read1 = await read(out.lastHiddenState);
  out.dispose();
  return read1;
}

/** A weight as rows. */
function matrix(model: Model, name: string): number[][] {
  const tensor = model.weights.declared.get(name)!.tensor();
  const [rows, columns] = tensor.shape as [number, number];
  const flat = [...tensor.dataSync()];
  return Array.from({ length: rows }, (_, row) => flat.slice(row * columns, (row + 1) * columns));
}

describe("a forward pass", () => {
  useBackend("cpu");

  it("gives what is asked for and nothing else", () => {
    const model = bert(options, createWeights({ seed: 1 }));
    const shapes = (forward: ForwardOptions): object => {
      const out = model.forward({ ids }, forward);
      const found = {
        hidden: out.lastHiddenState.shape,
        logits: out.logits?.shape,
        pooled: out.pooled?.shape,
        states: out.hiddenStates?.map(({ shape }) => shape.join()),
        maps: out.attentionMaps && [...out.attentionMaps].map(([layer, { shape }]) => [layer, shape.join()]),
      };
      out.dispose();
      return found;
    };
    const plain = {
      hidden: [2, 5, 8],
      logits: [2, 5, 11],
      pooled: [2, 8],
      states: undefined,
      maps: undefined,
    };
    expect(shapes({})).toEqual(plain);
    expect(shapes({ logits: "none" })).toEqual({ ...plain, logits: undefined });
    expect(shapes({ logits: "last" })).toEqual({ ...plain, logits: [2, 11] });
    expect(shapes({ hiddenStates: true })).toEqual({
      ...plain,
      states: ["2,5,8", "2,5,8", "2,5,8", "2,5,8"],
    });
    expect(shapes({ attentionMaps: {} })).toEqual({
      ...plain,
      maps: [0, 1, 2].map((layer) => [layer, "2,2,5,5"]),
    });
    expect(shapes({ attentionMaps: { layers: [2], heads: [1], rows: [4, 0] } })).toEqual({
      ...plain,
      maps: [[2, "2,1,2,5"]],
    });
    model.dispose();
  });

  it("gives the last kept token's logits of each row", async () => {
    const model = gpt(options, createWeights({ seed: 2 }));
    const all = model.forward({ ids, attentionMask });
    const last = model.forward({ ids, attentionMask }, { logits: "last" });
    const every = await read(all.logits!);
    const width = 11;
    const rowAt = (token: number): number[] => every.slice(token * width, (token + 1) * width);
    expect(largestDifference(await read(last.logits!), [...rowAt(4), ...rowAt(5 + 2)])).toBeLessThan(1e-6);
    all.dispose();
    last.dispose();
    model.dispose();
  });

  it("gives attention maps that are the softmax of the scores, computed here by hand", async () => {
    const model = gpt(options, createWeights({ seed: 3 }));
    const out = model.forward({ ids, attentionMask }, { hiddenStates: true, attentionMaps: { layers: [0] } });
    const map = await read(out.attentionMaps!.get(0)!);
    const states = await read(out.hiddenStates![0]!);
    out.dispose();
    // Row 1, whose tokens 3 and 4 are padding; head 1 is columns 4 to 7 of queries and of keys.
    const normal = [0, 1, 2, 3, 4].map((token) => {
      const x = states.slice((5 + token) * 8, (6 + token) * 8);
      const mean = x.reduce((sum, v) => sum + v, 0) / 8;
      const variance = x.reduce((sum, v) => sum + (v - mean) ** 2, 0) / 8;
      return x.map((v) => (v - mean) / Math.sqrt(variance + 1e-5));
    });
    const weight = matrix(model, "h.0.attn.c_attn.weight");
    const project = (x: readonly number[], column: number): number =>
      x.reduce((sum, v, i) => sum + v * weight[i]![column]!, 0);
    const columns = [4, 5, 6, 7];
    const expected = [0, 1, 2, 3, 4].flatMap((query) => {
      const scores = [0, 1, 2, 3, 4].map((key) =>
        key > query || key > 2
          ? -Infinity
          : columns.reduce((sum, c) => sum + project(normal[query]!, c) * project(normal[key]!, 8 + c), 0) /
            2,
      );
      const exponentials = scores.map((score) => Math.exp(score));
      const total = exponentials.reduce((sum, v) => sum + v, 0);
      return exponentials.map((v) => v / total);
    });
    expect(largestDifference(map.slice(75, 100), expected)).toBeLessThan(1e-6);
    for (let row = 0; row < 20; row++) {
      const sum = map.slice(row * 5, row * 5 + 5).reduce((total, p) => total + p, 0);
      expect(sum).toBeCloseTo(1, 6);
    }
    model.dispose();
  });

  it("frees everything inside a tidy, and on dispose", () => {
    const model = bert(options, createWeights({ seed: 1 }));
    model.forward({ ids }).dispose();
    const before = tf.memory().numTensors;
    tf.tidy(() => {
      model.forward({ ids }, { hiddenStates: true, attentionMaps: {} });
    });
    expect(tf.memory().numTensors).toBe(before);
    const out = model.forward({ ids }, { hiddenStates: true, attentionMaps: {} });
    expect(tf.memory().numTensors).toBeGreaterThan(before);
    out.dispose();
    out.dispose();
    expect(tf.memory().numTensors).toBe(before);
    model.dispose();
    expect(() => model.forward({ ids })).toThrow("must not be used after its weights were disposed");
  });

  it("frees everything after an error in the middle", () => {
    const model = gpt(
      { ...options, attention: [slidingWindow({ before: 1 }), documents(), documents()] },
      createWeights(),
    );
    expect(() => model.forward({ ids })).toThrow("document");
    const hidden = (): Tensor => model.forward({ ids }, { hiddenStates: true }).lastHiddenState;
    expect(() => tf.tidy(hidden)).toThrow("document");
    model.forward({ ids, attributes: { document: ids } }).dispose();
    model.dispose();
  });
});

describe("a cache", () => {
  useBackend("cpu");

  it.each([
    ["learned positions", {}],
    ["rotary positions and a window", { position: rotary(), attention: slidingWindow({ before: 2 }) }],
  ])("gives the logits of the whole sequence, with %s", async (_, more) => {
    const model = gpt({ ...options, ...more }, createWeights({ seed: 4 }));
    expect(model.cacheable).toBe(true);
    const cache = createKeyValueCache({ layers: 3, batch: 2, capacity: 8 });
    // The rows' prompts are 5 and 3 tokens long; two more tokens follow each.
    const steps = [{ ids, attentionMask }, { ids: [[9], [3]] }, { ids: [[2], [10]] }];
    for (const step of steps) {
      const out = model.forward(step, { cache, logits: "last" });
      const found = await read(out.logits!);
      out.dispose();
      const at = steps.indexOf(step);
      const later = steps.slice(1, at + 1).map(({ ids: [one, other] }) => [one![0]!, other![0]!] as const);
      const rows = [
        [...ids[0]!, ...later.map(([one]) => one)],
        [...ids[1]!.slice(0, 3), ...later.map(([, other]) => other)],
      ];
      for (const [row, tokens] of rows.entries()) {
        const whole = model.forward({ ids: tokens }, { logits: "last" });
        const expected = await read(whole.logits!);
        whole.dispose();
        expect(largestDifference(found.slice(row * 11, (row + 1) * 11), expected)).toBeLessThan(1e-6);
      }
    }
    expect(cache.lengths).toEqual([7, 5]);
    cache.dispose();
    model.dispose();
  });

  it("is refused where it does not fit", () => {
    const model = gpt(options, createWeights());
    const cacheOf = (layers: number, batch: number): ReturnType<typeof createKeyValueCache> =>
      createKeyValueCache({ layers, batch, capacity: 6 });
    const forward = (cache: ReturnType<typeof cacheOf>, more: object = {}, mask = attentionMask): unknown =>
      model.forward({ ids, attentionMask: mask }, { cache, ...more });
    expect(() => forward(cacheOf(2, 2))).toThrow("gpt: cache must have 3 layers, got 2");
    expect(() => forward(cacheOf(3, 1))).toThrow("gpt: cache must have 2 rows, as the ids, got 1");
    expect(() => forward(cacheOf(3, 2), { training: { seed: 1, step: 1 } })).toThrow(
      "gpt: cache must not be given in training",
    );
    expect(() => forward(cacheOf(3, 2), { attentionMaps: {} })).toThrow(
      "h.0.attn: attention: maps must be asked for without a cache",
    );
    expect(() => forward(cacheOf(3, 2), {}, [[0, 1, 1, 1, 1], attentionMask[1]!])).toThrow(
      'gpt: attentionMask must have its padding on the right of each row when there is a cache, got "a token after padding in row 0"',
    );
    // What a token sees is more than what comes before it, so that a cache would give other numbers in silence.
    const encoder = bert(options, createWeights());
    expect(encoder.cacheable).toBe(false);
    expect(() => encoder.forward({ ids }, { cache: cacheOf(3, 2) })).toThrow(
      "bert: cache must not be given to an encoder, whose tokens see those after them",
    );
    encoder.dispose();
    const swapped = model.with({ attention: longformer({ window: 2 }) });
    expect(swapped.cacheable).toBe(false);
    expect(() => swapped.forward({ ids }, { cache: cacheOf(3, 2) })).toThrow(
      "h.0.attn: attention: mechanism longformer does not work with a cache: run without one",
    );
    const maps = { attentionMaps: { layers: [1] } };
    expect(() => swapped.forward({ ids }, maps)).toThrow(
      "h.1.attn: attention: mechanism longformer gives no attention maps",
    );
    swapped.dispose();
    model.dispose();
  });
});

describe("cacheable", () => {
  useBackend("cpu");
  const perKey = modifier("per-key", {}, score.dividedBy(fromInteger(variables.keyLength)));
  const perQuery = modifier("per-query", {}, score.dividedBy(fromInteger(variables.queryLength)));
  const scaling = (how: typeof perKey): Position => ({
    kind: "position",
    name: "scaling",
    options: {},
    build: () => ({ onScore: () => [how] }),
  });

  it.each([
    ["a cap", { modifiers: [softCap({ cap: 5 })] }, true],
    ["a slope", { position: alibi() }, true],
    [
      "a bias by distance",
      { position: relativeBias({ maxDistance: 2 }), modifiers: [softCap({ cap: 5 })] },
      true,
    ],
    ["a modifier that reads keyLength", { modifiers: [softCap({ cap: 5 }), perKey] }, false],
    ["a modifier that reads queryLength", { modifiers: [perQuery] }, false],
    ["a position that reads keyLength", { position: scaling(perKey) }, false],
    ["a position that reads queryLength", { position: scaling(perQuery) }, false],
  ])("says what a pass with a cache does: %s", (_, more, expected) => {
    const model = gpt({ ...options, ...more }, createWeights());
    model.forward({ ids }).dispose();
    const before = tf.memory().numTensors;
    expect(model.cacheable).toBe(expected);
    expect(tf.memory().numTensors).toBe(before);
    const cache = createKeyValueCache({ layers: 3, batch: 2, capacity: 8 });
    const pass = (): void => model.forward({ ids }, { cache }).dispose();
    if (expected) pass();
    else expect(pass).toThrow("must not read a length to be used with a cache");
    cache.dispose();
    model.dispose();
  });
});

describe("dropout", () => {
  useBackend("cpu");

  it("is the same for the same seed and step, and another for others", async () => {
    const model = gpt({ ...options, dropout: 0.3 }, createWeights({ seed: 5 }));
    const one = await values(model, { training: { seed: 1, step: 2 } });
    expect(await values(model, { training: { seed: 1, step: 2 } })).toEqual(one);
    expect(await values(model, { training: { seed: 1, step: 3 } })).not.toEqual(one);
    expect(await values(model, { training: { seed: 2, step: 2 } })).not.toEqual(one);
    expect(await values(model)).not.toEqual(one);
    expect(await values(model)).toEqual(await values(model));
    model.dispose();
  });

  it("works at each of its places, and not at a rate of 0", async () => {
    for (const place of ["dropout", "embeddingDropout", "attentionDropout"]) {
      const off = { ...options, dropout: 0, embeddingDropout: 0, attentionDropout: 0 };
      const model = gpt({ ...off, [place]: 0.4 }, createWeights({ seed: 5 }));
      const plain = gpt(off, createWeights({ seed: 5 }));
      const training = { seed: 1, step: 1 };
      expect(await values(plain, { training })).toEqual(await values(plain));
      expect(await values(model)).toEqual(await values(plain));
      expect(await values(model, { training }), place).not.toEqual(await values(plain));
      model.dispose();
      plain.dispose();
    }
  });

  it("drops other values in each layer", async () => {
    const model = gpt({ ...options, dropout: 0.5, embeddingDropout: 0 }, createWeights());
    // Nothing but the bias after attention is left, so a layer adds 0 or 1 / (1 - 0.5) at each place.
    for (const { name, size, assign } of model.parameters) {
      const values = new Float32Array(size);
      if (name.endsWith("attn.c_proj.bias")) values.fill(1);
      assign(values);
    }
    const out = model.forward({ ids }, { hiddenStates: true, training: { seed: 3, step: 0 } });
    const [embedded, first, second] = await Promise.all(out.hiddenStates!.map((state) => read(state)));
    out.dispose();
    expect(new Set(embedded)).toEqual(new Set([0]));
    expect(new Set(first)).toEqual(new Set([0, 2]));
    expect(second!.map((value, i) => value - first![i]!)).not.toEqual(first);
    model.dispose();
  });
});
