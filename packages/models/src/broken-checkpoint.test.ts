import * as fs from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fromBlob } from "@heddle/checkpoints";
import type { ByteSource } from "@heddle/checkpoints";
import { editCheckpoint, useBackend, zeroTensor } from "@heddle/conformance";
import { createWeights } from "@heddle/core";
import { afterEach, describe, expect, it, vi } from "vitest";
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

describe("a checkpoint that does not fit", () => {
  useBackend("cpu");

  /** Code and message of a load that fails. */
  async function failure(files: Map<string, Blob>, more: object = {}): Promise<[unknown, string]> {
    try {
      const { model } = await loadModel(files, { families, ...more });
      model.dispose();
    } catch (error) {
      return [(error as { code?: unknown }).code, (error as Error).message];
    }
    return ["none", "it loaded"];
  }

  async function small(): Promise<Map<string, Blob>> {
    const model = gpt({ ...options, layers: 1 }, createWeights());
    const [files] = await saved(model);
    model.dispose();
    return files;
  }

  it("says all that is missing, unused, misshapen and no float at once", async () => {
    const files = await editCheckpoint(await small(), {
      tensors: (tensors) => [
        ...tensors
          .filter(({ name }) => !/ln_f/.test(name))
          .map((tensor) => {
            if (tensor.name.endsWith("wpe.weight")) return zeroTensor(tensor.name, [12, 9]);
            return tensor.name.endsWith("c_fc.bias") ? zeroTensor(tensor.name, [32], "I64") : tensor;
          }),
        zeroTensor("transformer.h.1.ln_1.weight", [8]),
        zeroTensor("score.weight", [2, 8]),
      ],
    });
    expect(await failure(files)).toEqual([
      "invalid-data",
      "files: the tensors must be those of the model in config.json. 2 missing: ln_f.weight, ln_f.bias. " +
        "2 unused: transformer.h.1.ln_1.weight, score.weight. " +
        "1 of the wrong shape: transformer.wpe.weight must be [12,8], got [12,9]. " +
        "1 that are no floats: transformer.h.0.mlp.c_fc.bias is I64.",
    ]);
  });

  it("names weights that are no numbers, and two that stand for one", async () => {
    const bad = await editCheckpoint(await small(), {
      tensors: (tensors) =>
        tensors.map((tensor) =>
          tensor.name.endsWith("ln_f.bias")
            ? { ...tensor, values: Float32Array.of(0, 0, NaN, 0, 0, 0, 0, 0) }
            : tensor,
        ),
    });
    expect(await failure(bad)).toEqual([
      "not-finite",
      "files: transformer.ln_f.bias must hold finite numbers, got NaN at 2",
    ]);
    const twice = await editCheckpoint(await small(), {
      tensors: (all) => [...all, zeroTensor("ln_f.bias", [8])],
    });
    expect(await failure(twice)).toEqual([
      "invalid-data",
      "files: ln_f.bias must not stand for the same parameter as transformer.ln_f.bias",
    ]);
  });

  it.each([
    [{ n_head: 3 }, "files: config.json: gpt: width must be a multiple of the 3 heads, got 8"],
    [{ n_layer: -1 }, "config.json: n_layer must be an integer >= 1, got -1"],
    [{ n_layer: 1.5 }, "config.json: n_layer must be an integer >= 1, got 1.5"],
    [{ n_layer: 1e9 }, "files: config.json: gpt: layers must be an integer from 1 to 10000, got 1000000000"],
    [{ n_embd: "8" }, 'config.json: n_embd must be an integer >= 1, got "8"'],
    [{ n_positions: [12] }, "config.json: n_positions must be an integer >= 1, got [12]"],
    [{ resid_pdrop: 1 }, "config.json: resid_pdrop must be a number from 0 to 0.9999999403953552, got 1"],
    [
      { scale_attn_weights: false },
      "config.json: scale_attn_weights must be true; nothing else is supported, got false",
    ],
    [
      { tie_word_embeddings: false },
      "config.json: tie_word_embeddings must be true; nothing else is supported, got false",
    ],
    [
      { add_cross_attention: true },
      "config.json: add_cross_attention must be false; nothing else is supported, got true",
    ],
    [
      { activation_function: "mish" },
      'config.json: activation_function must be one of "gelu", "gelu_new", "gelu_pytorch_tanh", "relu", "silu", "swish", "tanh", got "mish"',
    ],
    [{ heddle: [] }, "config.json: heddle must be an object, got []"],
    [
      { heddle: { atention: {} } },
      'config.json: heddle must have only attention, position, modifiers and kept, got "atention"',
    ],
    [{ heddle: { kept: [1] } }, "config.json: heddle.kept must be a list of names, got [1]"],
    [
      { heddle: { kept: ["gone"] } },
      'files: config.json: heddle.kept must name tensors of the file, got "gone"',
    ],
    [{ heddle: { position: 3 } }, 'registry: positions must be an object with a name, {"name": …}, got 3'],
    [
      { heddle: { position: { name: "rope" } } },
      'registry: positions name must be one of alibi, learned, relative-bias, rotary, sinusoidal, got "rope"',
    ],
    [
      { heddle: { attention: { name: "full", wide: 1 } } },
      'registry: patterns "full" must have only the options none, got "wide"',
    ],
    [
      { heddle: { attention: [{ name: "full" }, { name: "causal" }] } },
      "files: config.json: model: attention must be one value or hold one for each of 1 layers, got 2",
    ],
  ])("says what is wrong with config.json: %j", async (config, message) => {
    expect(await failure(await editCheckpoint(await small(), { config }))).toEqual(["invalid-data", message]);
  });

  it("refuses a model that no family builds, and a Longformer with an odd window", async () => {
    const files = await small();
    expect(await failure(await editCheckpoint(files, { config: { model_type: "llama" } }))).toEqual([
      "unsupported",
      'files: config.json: model_type must be one of gpt2 (gpt), bert (bert), longformer (longformer), got "llama"; give loadModel the family that builds it',
    ]);
    const [code, message] = await failure(files, { families: [] });
    expect([code, message]).toEqual([
      "unsupported",
      'files: config.json: model_type must be one of none, since no families were given, got "gpt2"; give loadModel the family that builds it',
    ]);
    const model = longformer(options, createWeights());
    const [long] = await saved(model);
    model.dispose();
    const odd = await editCheckpoint(long, { config: { attention_window: [4, 5] } });
    expect(await failure(odd)).toEqual([
      "invalid-data",
      "files: config.json: longformer: window must be even, got 5",
    ]);
  });

  it("ends when it is aborted, at once and in the middle", async () => {
    const files = await small();
    expect((await failure(files, { signal: AbortSignal.abort() }))[1]).toMatch(/abort/i);
    const controller = new AbortController();
    let reads = 0;
    const open = async (name: string): Promise<ByteSource | undefined> => {
      const blob = files.get(name);
      if (!blob) return undefined;
      const source = fromBlob(blob, name);
      const read = async (start: number, end: number): Promise<Uint8Array<ArrayBuffer>> => {
        if (++reads === 8) controller.abort(new Error("enough"));
        return source.read(start, end);
      };
      return { ...source, read };
    };
    const loading = loadModel({ name: "slow", open }, { families, signal: controller.signal });
    await expect(loading).rejects.toThrow("enough");
    expect(reads).toBe(8);
  });
});

describe("a save that fails", () => {
  useBackend("cpu");
  afterEach(() => vi.restoreAllMocks());

  it("leaves the old checkpoint whole on a full disk and in a directory that cannot be written", async () => {
    const directory = await fs.mkdtemp(join(tmpdir(), "heddle-full-"));
    const old = gpt(options, createWeights({ seed: 1 }));
    await old.save(directory);
    const expected = await logits(old);
    old.dispose();
    const next = gpt(options, createWeights({ seed: 2 }));
    const real = process.getBuiltinModule;
    for (const [operation, code] of [
      ["write", "ENOSPC"],
      ["mkdir", "EACCES"],
    ] as const) {
      const fail = async (): Promise<never> => {
        throw Object.assign(new Error(`${code}: made here`), { code });
      };
      const disk = {
        ...fs,
        ...(operation === "mkdir" && { mkdir: fail }),
        open: async (path: string, flags: string) => {
          const handle = await fs.open(path, flags);
          if (flags.startsWith("w") && operation === "write") handle.write = fail as never;
          return handle;
        },
      };
      vi.spyOn(process, "getBuiltinModule").mockImplementation(((id: string) =>
        id === "node:fs/promises" ? disk : real(id as "node:fs")) as typeof real);
      await expect(next.save(directory)).rejects.toMatchObject({
        code: "io",
        message: expect.stringContaining(code),
      });
      vi.restoreAllMocks();
      const { model: again } = await loadModel(directory, { families });
      expect(await logits(again)).toEqual(expected);
      again.dispose();
    }
    await next.save(directory);
    const { model: again } = await loadModel(directory, { families });
    expect(await logits(again)).toEqual(await logits(next));
    again.dispose();
    next.dispose();
    await fs.rm(directory, { recursive: true });
  });

  it("refuses weights that are no numbers and leaves the map as it was", async () => {
    const model = gpt(options, createWeights({ seed: 1 }));
    const [files] = await saved(model);
    const before = new Map(files);
    const bias = model.weights.declared.get("ln_f.bias")!;
    bias.assign(Float32Array.of(0, Infinity, 0, 0, 0, 0, 0, 0));
    await expect(model.save(files)).rejects.toMatchObject({
      code: "not-finite",
      message: "ln_f.bias: value 1 must be finite to be saved, got Infinity",
    });
    expect(files).toEqual(before);
    model.dispose();
  });
});
