import * as fs from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { openCheckpoint } from "@heddle/checkpoints";
import {
  editCheckpoint,
  goldenCheckpoint,
  goldenInputs,
  goldenModel,
  readGolden,
  renameTensors,
  useBackend,
  zeroTensor,
} from "@heddle/conformance";
import type { CheckpointEdit } from "@heddle/conformance";
import { createWeights } from "@heddle/core";
import { describe, expect, it } from "vitest";
import { bert } from "./bert/bert.ts";
import { gpt } from "./gpt/gpt.ts";
import { loadModel } from "./load-model.ts";
import { longformer } from "./longformer/longformer.ts";
import type { Model } from "./model.ts";

const families = [gpt, bert, longformer];
const options = { vocabularySize: 11, maxLength: 12, width: 8, layers: 2, heads: 2 };
const inputs = { ids: [[1, 2, 3, 4]] };

async function logits(model: Model): Promise<number[]> {
  const out = model.forward(inputs);
  const values = [...(await out.logits!.data())];
  out.dispose();
  return values;
}

/** Saves into a map, and the config that was written. */
async function saved(model: Model, more: object = {}): Promise<[Map<string, Blob>, Record<string, unknown>]> {
  const files = new Map<string, Blob>();
  await model.save(files, more);
  return [files, JSON.parse(await files.get("config.json")!.text()) as Record<string, unknown>];
}

/** The logits that loading gives. */
async function loadedLogits(files: Map<string, Blob>): Promise<number[]> {
  const { model } = await loadModel(files, { families });
  const values = await logits(model);
  model.dispose();
  return values;
}

describe("save and load", () => {
  useBackend("cpu");

  it.each(families.map((family) => [family.family, family] as const))(
    "gives %s back to the last bit, from a map and from a directory",
    async (_, family) => {
      const model: Model = family(options, createWeights({ seed: 1 }));
      const before = await logits(model);
      const [files, config] = await saved(model);
      expect(config.model_type).toBe(family.modelType);
      expect(config.heddle).toBeUndefined();
      const directory = await fs.mkdtemp(join(tmpdir(), "heddle-models-"));
      await model.save(directory);
      for (const location of [files, directory]) {
        const { model: again, tokenizer } = await loadModel(location, { families });
        expect(tokenizer).toBeUndefined();
        expect(again.family).toBe(family.family);
        expect(again.parameters.map(({ name }) => name)).toEqual(model.parameters.map(({ name }) => name));
        expect(await logits(again)).toEqual(before);
        // A second save writes the same bytes.
        const [second] = await saved(again);
        expect(await second.get("model.safetensors")!.bytes()).toEqual(
          await files.get("model.safetensors")!.bytes(),
        );
        expect(JSON.parse(await second.get("config.json")!.text())).toEqual(config);
        again.dispose();
      }
      await fs.rm(directory, { recursive: true });
      model.dispose();
    },
  );

  it("writes transformers' names", async () => {
    const names = async (model: Model): Promise<string[]> => {
      const [files] = await saved(model);
      const checkpoint = await openCheckpoint(files);
      const found = [...checkpoint.tensors.keys()];
      await checkpoint.close();
      model.dispose();
      return found;
    };
    const one = { ...options, layers: 1 };
    const block = ["ln_1", "attn.c_attn", "attn.c_proj", "ln_2", "mlp.c_fc", "mlp.c_proj"];
    const both = (name: string): string[] => [`${name}.weight`, `${name}.bias`];
    expect(await names(gpt(one, createWeights()))).toEqual(
      ["wte.weight", "wpe.weight", ...block.flatMap((name) => both(`h.0.${name}`)), ...both("ln_f")].map(
        (name) => `transformer.${name}`,
      ),
    );
    const ofBert = await names(bert(one, createWeights()));
    expect(ofBert).toContain("bert.embeddings.word_embeddings.weight");
    expect(ofBert).toContain("bert.encoder.layer.0.attention.self.query.weight");
    expect(ofBert).toContain("bert.pooler.dense.bias");
    expect(ofBert).toContain("cls.predictions.transform.LayerNorm.weight");
    expect(ofBert.filter((name) => !/^(bert|cls)\./.test(name))).toEqual([]);
    const ofLongformer = await names(longformer(one, createWeights()));
    expect(ofLongformer).toContain("longformer.encoder.layer.0.attention.self.value_global.bias");
    expect(ofLongformer).toContain("lm_head.layer_norm.weight");
  });

  it("writes texts beside the format, and refuses a dtype that cannot be loaded", async () => {
    const model = gpt(options, createWeights());
    const [files] = await saved(model, { metadata: { step: "3" } });
    const checkpoint = await openCheckpoint(files);
    expect(checkpoint.metadata).toEqual({ format: "pt", step: "3" });
    await checkpoint.close();
    await expect(saved(model, { dtype: "f16" })).rejects.toThrow(
      'gpt: dtype must be one of "F32", "F16", "BF16", got "f16"',
    );
    await expect(saved(model, { tokenizer: {} })).rejects.toThrow(
      "gpt: tokenizer must be a tokenizer, got {}",
    );
    model.dispose();
  });

  it("keeps what the config.json had besides", async () => {
    const model = gpt(options, createWeights());
    const [files] = await saved(model);
    const more = { config: { bos_token_id: 5, dtype: "float16", task_specific_params: { a: [1] } } };
    const { model: again } = await loadModel(await editCheckpoint(files, more), { families });
    const [, config] = await saved(again);
    expect(config).toMatchObject({
      bos_token_id: 5,
      torch_dtype: "float32",
      task_specific_params: { a: [1] },
    });
    expect(config.dtype).toBeUndefined();
    again.dispose();
    model.dispose();
  });

  it("reads names with and without the prefix, ties, buffers, old names and shards", async () => {
    const golden = await readGolden(new URL("./bert/goldens/plain.safetensors", import.meta.url));
    const files = await goldenCheckpoint(golden);
    const ofGolden = { ...goldenInputs(golden, { family: bert }) };
    const run = async (location: Map<string, Blob>): Promise<number[]> => {
      const { model } = await loadModel(location, { families });
      const out = model.forward(ofGolden);
      const values = [...(await out.logits!.data())];
      out.dispose();
      model.dispose();
      return values;
    };
    const expected = await run(files);
    const variants: NonNullable<CheckpointEdit["tensors"]>[] = [
      renameTensors((name) => name.replace(/^bert\./, "")),
      renameTensors((name) =>
        name.replace(/LayerNorm\.weight$/, "LayerNorm.gamma").replace(/LayerNorm\.bias$/, "LayerNorm.beta"),
      ),
      (tensors) => [
        ...tensors,
        zeroTensor("bert.embeddings.position_ids", [1, 17], "I64"),
        zeroTensor("cls.predictions.decoder.weight", [71, 24]),
        zeroTensor("cls.predictions.decoder.bias", [71]),
      ],
      (tensors) => tensors.toReversed(),
    ];
    for (const variant of variants)
      expect(await run(await editCheckpoint(files, { tensors: variant }))).toEqual(expected);
    const sharded = await editCheckpoint(files, { maxShardBytes: 20_000 });
    expect(sharded.size).toBeGreaterThan(4);
    expect(await run(sharded)).toEqual(expected);

    const model = gpt(options, createWeights({ seed: 3 }));
    const [ours] = await saved(model);
    const old = await editCheckpoint(ours, {
      tensors: (tensors) => [
        ...renameTensors((name) => name.replace("transformer.", ""))(tensors),
        zeroTensor("h.0.attn.bias", [1, 1, 12, 12], "U8"),
        zeroTensor("h.1.attn.masked_bias", []),
        zeroTensor("lm_head.weight", [11, 8]),
      ],
    });
    expect(await loadedLogits(old)).toEqual(await logits(model));
    model.dispose();
  });

  it("keeps the next-sentence head, and saves none where there is none", async () => {
    const golden = await readGolden(new URL("./bert/goldens/pretraining.safetensors", import.meta.url));
    const { model } = await loadModel(await goldenCheckpoint(golden), { families });
    const run = async (each: Model): Promise<Float32Array | undefined> => {
      const out = each.forward(goldenInputs(golden, { family: bert }));
      const found = await out.nextSentenceLogits?.data<"float32">();
      out.dispose();
      return found;
    };
    const expected = await run(model);
    expect(expected).toHaveLength(4);
    const [files, config] = await saved(model);
    expect(config.architectures).toEqual(["BertForPreTraining"]);
    const { model: again } = await loadModel(files, { families });
    expect(await run(again)).toEqual(expected);
    for (const each of [model, again]) each.dispose();

    const sizes = { vocabularySize: 71, width: 8, layers: 1, heads: 2, head: "none" } as const;
    for (const nextSentence of [true, false]) {
      const made = bert({ ...sizes, nextSentence }, createWeights());
      const [written, { architectures }] = await saved(made);
      expect(architectures).toEqual([nextSentence ? "BertForNextSentencePrediction" : "BertModel"]);
      const { model: read } = await loadModel(written, { families });
      expect((await run(read)) !== undefined).toBe(nextSentence);
      expect(read.parameterCount()).toBe(made.parameterCount());
      for (const each of [made, read]) each.dispose();
    }
    expect(() => bert({ ...sizes, nextSentence: true, pooler: false }, createWeights())).toThrow(
      "bert: pooler must be there for next-sentence prediction, which reads it, got false",
    );
  });

  it("refuses a misspelt option", async () => {
    const model = gpt(options, createWeights());
    const [files] = await saved(model);
    await expect(saved(model, { type: "F16" })).rejects.toThrow(
      'gpt: save options must have only the fields tokenizer, dtype, maxShardBytes, files, metadata, got "type"',
    );
    await expect(loadModel(files, { families, store: "f32" } as never)).rejects.toThrow(
      'loadModel: options must have only the fields families, registry, storage, signal, got "store"',
    );
    await expect(loadModel(files, { families, signal: null } as never)).rejects.toThrow(
      "loadModel: signal must be an AbortSignal, got null",
    );
    model.dispose();
  });

  it("reads and writes half precision", async () => {
    const model = gpt(options, createWeights({ seed: 4 }));
    for (const [dtype, bound, type] of [
      ["F16", 2 ** -11, "float16"],
      ["BF16", 2 ** -8, "bfloat16"],
    ] as const) {
      const [files, config] = await saved(model, { dtype });
      expect(config.torch_dtype).toBe(type);
      const { model: again } = await loadModel(files, { families });
      for (const { name, tensor } of model.parameters) {
        const whole = await tensor().data();
        const half = await again.weights.declared.get(name)!.tensor().data();
        whole.forEach((value, i) => {
          if (Math.abs(half[i]! - value) > Math.abs(value) * bound + 2 ** -25)
            throw new Error(`${name} ${i}: ${value} became ${half[i]}`);
        });
      }
      again.dispose();
    }
    model.dispose();
  });

  it("reads a golden of 2018's names", async () => {
    const golden = await readGolden(new URL("./bert/goldens/old-names.safetensors", import.meta.url));
    const model = await goldenModel(golden, { family: bert });
    expect(model.weights.declared.has("embeddings.LayerNorm.weight")).toBe(true);
    model.dispose();
  });
});
