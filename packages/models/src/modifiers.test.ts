import { softCap } from "@heddle/attention";
import { useBackend } from "@heddle/conformance";
import { createRegistry, createWeights } from "@heddle/core";
import * as tf from "@tensorflow/tfjs-core";
import { describe, expect, it } from "vitest";
import { gpt, loadModel, standard } from "./index.ts";

const small = { vocabularySize: 11, maxLength: 8, width: 8, layers: 2, heads: 2 };
const ids = [[1, 2, 3, 4, 5]];

describe("modifiers", () => {
  useBackend("cpu");
  const logits = (model: { forward: ReturnType<typeof gpt>["forward"] }): number[] => {
    const output = model.forward({ ids });
    const values = [...output.logits!.dataSync()];
    output.dispose();
    return values;
  };

  it("change the scores of every layer, by with, from JSON, and after saving and loading", async () => {
    const plain = gpt(small, createWeights({ seed: 4 }));
    const capped = plain.with({ modifiers: [softCap({ cap: 0.001 })] });
    const expected = logits(capped);
    expect(expected).not.toEqual(logits(plain));
    expect(logits(plain.with({ modifiers: [] }))).toEqual(logits(plain));
    // So tight a cap makes all scores alike, as queries of zeros do.
    const flat = plain.with({ modifiers: [softCap({ cap: 1e-6 })] });
    expected.forEach((value, i) => expect(value).toBeCloseTo(logits(flat)[i]!, 3));

    const fromJson = await createRegistry(standard).create("models", {
      name: "gpt",
      ...small,
      seed: 4,
      modifiers: [{ name: "soft-cap", cap: 0.001 }],
    });
    expect(logits(fromJson)).toEqual(expected);
    fromJson.dispose();

    const files = new Map<string, Blob>();
    await capped.save(files);
    plain.dispose();
    expect(JSON.parse(await files.get("config.json")!.text()).heddle).toEqual({
      modifiers: [{ name: "soft-cap", cap: 0.001 }],
    });
    const { model } = await loadModel(files, { families: [gpt] });
    expect(logits(model)).toEqual(expected);
    model.dispose();
  });

  it("are checked when the model is built", () => {
    const model = gpt(small, createWeights());
    expect(() => model.with({ modifiers: ["soft-cap"] as never })).toThrow(
      'gpt: modifiers must be a list of modifiers, got ["soft-cap"]',
    );
    expect(() => gpt({ ...small, dropot: 0.1 } as never, createWeights())).toThrow(
      /gpt: options must have only the fields vocabularySize, .*modifiers, got "dropot"/,
    );
    expect(() => gpt(undefined as never, createWeights())).toThrow(
      "gpt: options must be an object, got undefined",
    );
    expect(() => gpt(small, undefined as never)).toThrow("gpt: weights must be a tree, createWeights");
    expect(() => model.forward({ ids }, { training: { seed: -1, step: 0 } })).toThrow(
      "gpt: training.seed must be an integer >= 0, got -1",
    );
    model.dispose();
  });

  it("must be a list in JSON", async () => {
    const json = { name: "gpt", ...small, modifiers: { name: "soft-cap", cap: 1 } };
    await expect(createRegistry(standard).create("models", json)).rejects.toThrow("modifiers must be a list");
  });
});

describe("loadModel", () => {
  it("refuses to load without families, and an attention that nobody has", async () => {
    await expect(loadModel(new Map(), {} as never)).rejects.toThrow(
      "loadModel: families must be a list of families, [gpt] for example, got undefined",
    );
    const json = { name: "gpt", ...small, attention: { name: "longfromer" } };
    await expect(createRegistry(standard).create("models", json)).rejects.toThrow(
      /attention: name must be one of and, .*longformer, .*got "longfromer"/,
    );
  });
});

describe("storage", () => {
  useBackend("cpu");

  it('"stored" keeps 16-bit matrices as they are, with the same result as widened ones', async () => {
    const model = gpt(small, createWeights({ seed: 4 }));
    const files = new Map<string, Blob>();
    await model.save(files, { dtype: "BF16" });
    model.dispose();
    const run = async (storage: "f32" | "stored"): Promise<[Set<string>, number[]]> => {
      const { model: loaded } = await loadModel(files, { families: [gpt], storage });
      const output = loaded.forward({ ids });
      const values = [...output.logits!.dataSync()];
      output.dispose();
      const kinds = new Set(loaded.parameters.map((parameter) => parameter.storage));
      const before = tf.memory().numTensors;
      const again = new Map<string, Blob>();
      await loaded.save(again, { dtype: "BF16" });
      expect(tf.memory().numTensors - before, "tensors leaked by saving").toBe(0);
      expect(await again.get("model.safetensors")!.bytes()).toEqual(
        await files.get("model.safetensors")!.bytes(),
      );
      loaded.dispose();
      return [kinds, values];
    };
    const [stored, widened] = [await run("stored"), await run("f32")];
    expect([[...stored[0]], [...widened[0]]]).toEqual([["bf16", "f32"], ["f32"]]);
    expect(stored[1]).toEqual(widened[1]);
    await expect(loadModel(files, { families: [gpt], storage: "f8" as "f32" })).rejects.toThrow(
      'loadModel: storage must be one of "f32", "stored", got "f8"',
    );
  });
});
