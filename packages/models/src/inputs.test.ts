import { causal, not } from "@heddle/attention";
import { useBackend } from "@heddle/conformance";
import { createWeights } from "@heddle/core";
import type { HeddleError } from "@heddle/core";
import * as tf from "@tensorflow/tfjs-core";
import { describe, expect, it } from "vitest";
import { bert } from "./bert/bert.ts";
import { gpt } from "./gpt/gpt.ts";
import { longformer } from "./longformer/longformer.ts";
import type { ModelInputs } from "./inputs.ts";
import type { ForwardOptions, Model } from "./model.ts";

const options = { vocabularySize: 9, maxLength: 6, width: 8, layers: 2, heads: 2 };

/** What a small model says of inputs that it refuses. */
function refusal(model: Model, inputs: unknown, forward: ForwardOptions = {}): [string, string] {
  try {
    model.forward(inputs as ModelInputs, forward).dispose();
  } catch (error) {
    return [(error as HeddleError).code, (error as Error).message];
  } finally {
    model.dispose();
  }
  return ["none", "it ran"];
}
const ofGpt = (inputs: unknown, forward?: ForwardOptions): string => {
  const [code, message] = refusal(gpt(options, createWeights()), inputs, forward);
  expect(code).toBe("invalid-argument");
  return message;
};
const ofBert = (inputs: unknown): string => refusal(bert(options, createWeights()), inputs)[1];

describe("inputs of a model", () => {
  useBackend("cpu");

  it("may be one row, rows, or tensors, with the same result", async () => {
    const model = gpt(options, createWeights({ seed: 1 }));
    const rows = tf.tensor2d([[1, 2, 8]], [1, 3], "int32");
    const row = tf.tensor1d([1, 2, 8]);
    const mask = tf.tensor2d([[1, 1, 0]], [1, 3], "bool");
    const keep = [[1, 1, 0]];
    const given: ModelInputs[] = [
      { ids: [1, 2, 8], attentionMask: [1, 1, 0] },
      { ids: [[1, 2, 8]], attentionMask: keep },
      { ids: rows, attentionMask: mask },
      { ids: row, attentionMask: keep },
    ];
    const results: number[][] = [];
    for (const inputs of given) {
      const out = model.forward(inputs);
      expect(out.logits!.shape).toEqual([1, 3, 9]);
      results.push([...(await out.logits!.data())]);
      out.dispose();
    }
    for (const result of results) expect(result).toEqual(results[0]);
    tf.dispose([rows, row, mask]);
    model.dispose();
  });

  it("refuses misspelt inputs and options", () => {
    expect(ofGpt({ ids: [0], attention_mask: [1] } as ModelInputs)).toBe(
      'gpt: inputs must have only the fields ids, attentionMask, tokenTypes, positionIds, globalAttentionMask, attributes, got "attention_mask"',
    );
    const model = gpt(options, createWeights());
    expect(() => model.forward({ ids: [0] }, { hiddenState: true } as ForwardOptions)).toThrow(
      'gpt: forward options must have only the fields training, cache, logits, hiddenStates, attentionMaps, got "hiddenState"',
    );
    for (const [forwardOptions, message] of [
      [
        { attentionMaps: { layer: [0] } },
        'gpt: attentionMaps must have only the fields layers, heads, rows, got "layer"',
      ],
      [{ attentionMaps: true }, "gpt: attentionMaps must be an object of layers, heads, rows, got true"],
      [{ training: { sed: 1 } }, 'gpt: training must have only the fields seed, step, got "sed"'],
    ] as const)
      expect(() => model.forward({ ids: [0] }, forwardOptions as object)).toThrow(message);
    expect(() => model.forward({ ids: [0] }, null as never)).toThrow(
      "gpt: forward options must be an object of",
    );
    model.dispose();
  });

  it("refuses ids outside the vocabulary and what is no id", () => {
    expect(ofGpt({ ids: [[0, 9]] })).toBe(
      "gpt: ids[0][1] must be from 0 to 8, the vocabulary's last id, got 9",
    );
    expect(ofGpt({ ids: [[0], [-1]] })).toBe(
      "gpt: ids[1][0] must be from 0 to 8, the vocabulary's last id, got -1",
    );
    expect(ofGpt({ ids: [0, 1.5] })).toBe("gpt: ids[0][1] must be an integer, got 1.5");
    expect(ofGpt({ ids: [0, NaN] })).toBe("gpt: ids[0][1] must be an integer, got NaN");
    expect(ofGpt({ ids: [0, "1"] })).toBe('gpt: ids[0][1] must be an integer, got "1"');
    expect(ofGpt({ ids: [0, undefined] })).toBe("gpt: ids[0][1] must be an integer, got undefined");
  });

  it("refuses ids of the wrong shape", () => {
    expect(ofGpt({ ids: [] })).toBe("gpt: ids must hold at least one token, got []");
    expect(ofGpt({ ids: [[]] })).toBe("gpt: ids must hold at least one token, got [[]]");
    expect(ofGpt({ ids: "12" })).toBe(
      'gpt: ids must be an array of integers, a list of such arrays, or a tensor, got "12"',
    );
    expect(ofGpt({})).toBe(
      "gpt: ids must be an array of integers, a list of such arrays, or a tensor, got undefined",
    );
    expect(ofGpt({ ids: [[1, 2], [3]] })).toBe(
      "gpt: ids[1] must have 2 tokens, as the first row (pad the shorter rows and give an attentionMask), got 1",
    );
    expect(ofGpt({ ids: [[1, 2], 3] })).toBe(
      "gpt: ids[1] must have 2 tokens, as the first row (pad the shorter rows and give an attentionMask), got undefined",
    );
    const cube = tf.zeros([1, 2, 3], "int32");
    expect(ofGpt({ ids: cube })).toBe("gpt: ids must have shape [batch, length], got [1,2,3]");
    cube.dispose();
  });

  it("refuses masks and what else goes beside the ids when they do not fit", () => {
    const ids = [[1, 2, 3]];
    expect(ofGpt({ ids, attentionMask: [[1, 1]] })).toBe(
      "gpt: attentionMask must have shape [1, 3], as the ids, got [1,2]",
    );
    expect(ofGpt({ ids, attentionMask: [[1, 2, 1]] })).toBe("gpt: attentionMask[0][1] must be 0 or 1, got 2");
    expect(ofGpt({ ids, positionIds: [[0, -1, 1]] })).toBe(
      "gpt: positionIds[0][1] must be 0 or more, got -1",
    );
    expect(ofGpt({ ids, tokenTypes: [[0, 1, 0]] })).toBe("gpt: tokenTypes[0][1] must be from 0 to 0, got 1");
    expect(ofBert({ ids, tokenTypes: [[0, 1, 2]] })).toBe(
      "bert: tokenTypes[0][2] must be from 0 to 1, got 2",
    );
    expect(ofGpt({ ids, globalAttentionMask: [[0, 3, 0]] })).toBe(
      "gpt: globalAttentionMask[0][1] must be 0 or 1, got 3",
    );
    expect(ofGpt({ ids, attributes: { document: [[0, 1]] } })).toBe(
      "gpt: attributes.document must have shape [1, 3], as the ids, got [1,2]",
    );
    for (const name of ["attentionMask", "tokenTypes", "positionIds", "globalAttentionMask"])
      for (const none of [0, null, false])
        expect(ofGpt({ ids, [name]: none })).toBe(
          `gpt: ${name} must be an array of integers, a list of such arrays, or a tensor, got ${none}`,
        );
    for (const attributes of [5, null, []])
      expect(ofGpt({ ids, attributes })).toContain(
        "gpt: attributes must be an object of integers of each token",
      );
  });

  it("refuses more tokens than there are positions", () => {
    expect(ofGpt({ ids: [0, 1, 2, 3, 4, 5, 6] })).toBe(
      "wpe.weight: sequence must be at most 6 tokens long, the number of positions, got 7",
    );
    expect(ofBert({ ids: [0, 1, 2, 3, 4, 5, 6] })).toBe(
      "embeddings.position_embeddings.weight: sequence must be at most 6 tokens long, the number of positions, got 7",
    );
    expect(ofGpt({ ids: [0, 1], positionIds: [0, 6] })).toBe(
      "wpe.weight: sequence must be at most 6 tokens long, the number of positions, got 7",
    );
  });

  it("refuses inputs that are not there, and logits of another kind", () => {
    expect(ofGpt(undefined)).toBe(
      "gpt: ids must be an array of integers, a list of such arrays, or a tensor, got undefined",
    );
    expect(ofGpt({ ids: [1] }, { logits: "first" as "last" })).toBe(
      'gpt: logits must be one of "all", "last", "none", got "first"',
    );
  });

  it("refuses attention that allows nothing", () => {
    const [code, message] = refusal(gpt({ ...options, attention: not(causal()) }, createWeights()), {
      ids: [1, 2],
    });
    expect([code, message]).toEqual([
      "invalid-argument",
      'attention: pattern and must allow at least one pair of 2 queries and 2 keys, got {"of":[{"name":"causal"},{"name":"not","of":{"name":"causal"}}]}',
    ]);
  });

  it("refuses maps of layers, heads and rows that there are not", () => {
    const ids = [1, 2];
    expect(ofGpt({ ids }, { attentionMaps: { layers: [2] } })).toBe(
      "gpt: attentionMaps.layers must be an integer from 0 to 1, got 2",
    );
    expect(ofGpt({ ids }, { attentionMaps: { layers: 1 as never } })).toBe(
      "gpt: attentionMaps.layers must be a list of numbers, got 1",
    );
    expect(ofGpt({ ids }, { attentionMaps: { heads: [2] } })).toBe(
      "attentionMaps: heads must be an integer from 0 to 1, got 2",
    );
    expect(ofGpt({ ids }, { attentionMaps: { rows: [-1] } })).toBe(
      "attentionMaps: rows must be an integer from 0 to 1, got -1",
    );
  });
});

describe("a model's options", () => {
  useBackend("cpu");

  const sizes = ["vocabularySize", "maxLength", "width", "layers", "heads", "innerWidth"];
  it.each([
    ["gpt", gpt, sizes],
    ["bert", bert, [...sizes, "tokenTypes"]],
    ["longformer", longformer, [...sizes, "tokenTypes", "window"]],
  ])("are refused by name where a size of %s is none", (family, make, names) => {
    for (const name of names)
      for (const value of [0, -1, 1.5, NaN, null, "8"]) {
        const more: object = { ...(make === longformer && { window: 2 }), [name]: value };
        expect(() => make({ ...options, ...more }, createWeights()), `${name} ${value}`).toThrow(
          new RegExp(`^${family}: ${name} must `),
        );
      }
  });

  it("are refused by name", () => {
    const build = (more: object) => (): unknown => gpt({ ...options, ...more }, createWeights());
    expect(build({ heads: 3 })).toThrow("gpt: width must be a multiple of the 3 heads, got 8");
    expect(build({ width: 0 })).toThrow("gpt: width must be an integer >= 1, got 0");
    expect(build({ layers: 1e9 })).toThrow("gpt: layers must be an integer from 1 to 10000, got 1000000000");
    expect(build({ epsilon: -1 })).toThrow("gpt: epsilon must be a number >= 0, got -1");
    expect(build({ dropout: 1 })).toThrow(
      "gpt: dropout must be a number from 0 to 0.9999999403953552, got 1",
    );
    expect(build({ activation: "gleu" })).toThrow("gpt: activation must be one of");
    expect(build({ inverseLayerScale: "false" })).toThrow(
      'gpt: inverseLayerScale must be one of true, false, got "false"',
    );
    const asText: object = { pooler: "false" };
    expect(() => bert({ ...options, ...asText }, createWeights())).toThrow(
      'bert: pooler must be one of true, false, got "false"',
    );
    const ofText: object = { window: "42" };
    expect(() => longformer({ ...options, ...ofText }, createWeights())).toThrow(
      'longformer: window must be a number or hold one for each of 2 layers, got "42"',
    );
    expect(build({ attention: [] })).toThrow(
      "model: attention must be one value or hold one for each of 2 layers, got 0",
    );
    for (const attention of [undefined, null, "causal", { kind: "position" }])
      expect(build({ attention })).toThrow("model: attention must be a pattern or a mechanism");
    expect(build({ position: undefined })).toThrow(
      "gpt: position must be a position, learned() for example, got undefined",
    );
  });
});
