import * as fs from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import * as tf from "@tensorflow/tfjs-core";
import { openCheckpoint, saveCheckpoint } from "@heddle/checkpoints";
import type { TensorEntry } from "@heddle/checkpoints";
import { useBackend } from "@heddle/conformance";
import { HeddleError } from "@heddle/core";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { TEXT, bigram } from "./bigram.fixture.ts";
import type { Bigram } from "./bigram.fixture.ts";
import { adamw, tokenWindows, train, warmupCosine } from "./index.ts";
import type { TokenBatch, TrainOptions } from "./index.ts";

let root: string;
beforeAll(async () => {
  root = await fs.mkdtemp(join(tmpdir(), "heddle-training-"));
});
afterAll(() => fs.rm(root, { recursive: true }));

const steps = 9;
const settings = {
  batches: tokenWindows(TEXT, { length: 8, batch: 4, seed: 3 }),
  optimizer: adamw({ learningRate: warmupCosine({ peak: 0.05, warmup: 2, steps }), weightDecay: 0.1 }),
  steps,
  accumulate: 2,
  clip: 0.5,
  seed: 6,
};
type Options = Partial<TrainOptions<Bigram, TokenBatch>>;

async function run(model: Bigram, options: Options, last = steps): Promise<number[]> {
  const losses: number[] = [];
  for await (const { step, loss } of train(model, { ...settings, ...options })) {
    losses.push(loss);
    if (step === last) break;
  }
  return losses;
}

/** A checkpoint of step 4, in memory. */
async function saved(): Promise<Map<string, Blob>> {
  const directory = new Map<string, Blob>();
  const model = bigram({ rate: 0.2 });
  await run(model, { checkpoint: { directory, every: 4 } }, 5);
  model.dispose();
  return directory;
}

describe.each(["cpu", "wasm"] as const)("resume on %s", (backend) => {
  useBackend(backend);

  it("goes on with the same losses and values to the last bit, whatever the model held", async () => {
    const whole = bigram({ rate: 0.2 });
    const losses = await run(whole, {});
    for (const directory of [new Map<string, Blob>(), join(root, backend)]) {
      const checkpoint = { directory, every: 2 };
      const first = bigram({ rate: 0.2 });
      expect(await run(first, { checkpoint }, 5)).toEqual(losses.slice(0, 5));
      first.dispose();
      const second = bigram({ rate: 0.2, seed: 77 });
      expect(await run(second, { checkpoint, resume: true }, 7)).toEqual(losses.slice(4, 7));
      second.dispose();
      const third = bigram({ rate: 0.2, seed: 78 });
      expect(await run(third, { resume: directory })).toEqual(losses.slice(6));
      expect(await third.values()).toEqual(await whole.values());
      third.dispose();
    }
    whole.dispose();
  });

  it("begins at the beginning where nothing was saved, and does nothing where all is done", async () => {
    const directory = new Map<string, Blob>();
    const model = bigram();
    expect(await run(model, { checkpoint: { directory, every: 5 }, resume: true })).toHaveLength(9);
    expect(await run(model, { checkpoint: { directory, every: 5 }, resume: true })).toEqual([]);
    expect(await run(model, { steps: 11, resume: directory }, 11)).toHaveLength(2);
    model.dispose();
  });
});

describe("a run's checkpoint", () => {
  useBackend("cpu");

  it.each(["model.safetensors", "config.json"])("is not begun anew when its %s is lost", async (file) => {
    const directory = join(root, `lost-${file}`);
    await fs.mkdir(directory);
    const model = bigram();
    const checkpoint = { directory, every: 2 };
    // An empty directory is the beginning.
    expect(await run(model, { checkpoint, resume: true }, 5)).toHaveLength(5);
    await fs.rm(join(directory, file));
    const kept = await fs.readdir(directory);
    for (const resume of [true, directory])
      await expect(run(model, { checkpoint, resume })).rejects.toMatchObject({
        code: "invalid-data",
        message: `${directory}: ${file} must be there, got no such file`,
      });
    expect(await fs.readdir(directory)).toEqual(kept);
    model.dispose();
  });

  it("is begun beside files of others, and not where anything of it is left", async () => {
    const directory = join(root, "with-log");
    await fs.mkdir(directory);
    await fs.writeFile(join(directory, "run.log"), "mine");
    const model = bigram();
    const checkpoint = { directory, every: 2 };
    await expect(run(model, { resume: directory })).rejects.toThrow(
      `train: resume must be a directory with a checkpoint, got "${directory}"`,
    );
    expect(await run(model, { checkpoint, resume: true }, 5)).toHaveLength(5);
    expect(await run(model, { checkpoint, resume: true })).toHaveLength(5);
    expect(await fs.readFile(join(directory, "run.log"), "utf8")).toBe("mine");
    for (const left of ["optimizer.safetensors", "trainer.json"]) {
      const remains = new Map([[left, new Blob([await fs.readFile(join(directory, left))])]]);
      const lost = run(model, { checkpoint: { directory: remains, every: 2 }, resume: true });
      await expect(lost).rejects.toThrow("files: config.json must be there, got no such file");
    }
    model.dispose();
  });

  it("holds the model, the moments by PyTorch's names, the position and the tokenizer's files", async () => {
    const directory = new Map<string, Blob>();
    const model = bigram();
    const tokenizer = { toJSON: () => ({ "tokenizer.json": "{}" }) };
    await run(model, { checkpoint: { directory, every: 3, tokenizer } }, 3);
    expect([...directory.keys()].toSorted()).toEqual([
      "config.json",
      "model.safetensors",
      "optimizer.safetensors",
      "tokenizer.json",
      "trainer.json",
    ]);
    expect(JSON.parse(await directory.get("trainer.json")!.text())).toEqual({
      format: 1,
      step: 3,
      options: {
        seed: 6,
        accumulate: 2,
        clip: 0.5,
        optimizer: { name: "adamw", beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weightDecay: 0.1 },
        learningRate: { name: "warmup-cosine", peak: 0.05, warmup: 2, steps: 9, floor: 0 },
        batches: settings.batches.options,
      },
    });
    const checkpoint = await openCheckpoint(directory);
    const moments = await checkpoint.openTensors("optimizer.safetensors");
    const names = ["wte.weight", "ln.weight", "ln.bias", "head.weight", "head.bias"];
    expect([...moments.tensors.keys()].toSorted()).toEqual(
      names.flatMap((name) => [`${name}.exp_avg`, `${name}.exp_avg_sq`, `${name}.step`]).toSorted(),
    );
    expect((await moments.read("head.bias.step")).values).toEqual(Int32Array.of(3));
    await moments.close();
    await checkpoint.close();
    model.dispose();
  });

  it("stays when the next one cannot be written", async () => {
    const directory = join(root, "failing");
    const model = bigram({ rate: 0.2 });
    const losses = await run(model, {});
    const { save } = model;
    let saves = 0;
    const failing: Bigram = {
      ...model,
      save: (location, options) =>
        ++saves === 2
          ? Promise.reject(new HeddleError("io", "the disk must have space, got none"))
          : save(location, options),
    };
    const again = bigram({ rate: 0.2 });
    for (const [i, parameter] of model.parameters.entries())
      parameter.assign(tf.tidy(() => tf.clone(again.parameters[i]!.tensor()).dataSync() as Float32Array));
    again.dispose();
    await expect(run(failing, { checkpoint: { directory, every: 2 } })).rejects.toThrow(
      "the disk must have space",
    );
    expect(await run(model, { resume: directory })).toEqual(losses.slice(2));
    await fs.writeFile(join(root, "file"), "");
    const unwritable = { directory: join(root, "file"), every: 1 };
    await expect(run(model, { checkpoint: unwritable })).rejects.toMatchObject({ code: "io" });
    model.dispose();
  });

  it.each<[Options, string]>([
    [{ seed: 7 }, "train: seed must be 6, as when the checkpoint was saved, to resume, got 7"],
    [{ clip: undefined }, "train: clip must be 0.5, as when the checkpoint was saved, to resume, got null"],
    [{ accumulate: 1 }, "train: accumulate must be 2, as when"],
    [
      { optimizer: adamw({ learningRate: settings.optimizer.learningRate }) },
      "train: optimizer.weightDecay must be 0.1, as when the checkpoint was saved, to resume, got 0.01",
    ],
    [
      { optimizer: adamw({ learningRate: 0.05, weightDecay: 0.1 }) },
      'train: learningRate.name must be "warmup-cosine", as when the checkpoint was saved, to resume, got "constant"',
    ],
    [
      { batches: tokenWindows(TEXT, { length: 8, batch: 4, seed: 4 }) },
      "train: batches.seed must be 3, as when the checkpoint was saved, to resume, got 4",
    ],
    [
      {
        batches: tokenWindows(
          TEXT.map((id) => 6 - id),
          { length: 8, batch: 4, seed: 3 },
        ),
      },
      "train: batches.hash must be",
    ],
  ])("is refused for other options: %#", async (options, message) => {
    const model = bigram();
    const kept = await model.values();
    await expect(run(model, { resume: await saved(), ...options })).rejects.toThrow(message);
    expect(await model.values()).toEqual(kept);
    model.dispose();
  });

  const text = (change: (json: Record<string, unknown>) => unknown) => async (files: Map<string, Blob>) => {
    const json = JSON.parse(await files.get("trainer.json")!.text());
    files.set("trainer.json", new Blob([JSON.stringify(change(json))]));
  };
  /** Writes the moments again, changed. */
  const moments = (change: (entries: TensorEntry[]) => TensorEntry[]) => async (files: Map<string, Blob>) => {
    const checkpoint = await openCheckpoint(files);
    const file = await checkpoint.openTensors("optimizer.safetensors");
    const entries: TensorEntry[] = [];
    for (const name of file.tensors.keys()) entries.push({ name, ...(await file.read(name)) });
    await file.close();
    await checkpoint.close();
    const target = new Map<string, Blob>();
    const tensors = change(entries);
    await saveCheckpoint(target, {
      config: {},
      tensors: [],
      files: { "optimizer.safetensors": { tensors } },
    });
    files.set("optimizer.safetensors", target.get("optimizer.safetensors")!);
  };
  const zeros = (name: string, shape: number[]): TensorEntry => ({
    name,
    dtype: "F32",
    shape,
    values: new Float32Array(shape.reduce((a, b) => a * b, 1)),
  });

  it.each<[string, (files: Map<string, Blob>) => unknown, string]>([
    ["no position", (files) => files.delete("trainer.json"), "files: trainer.json must be there to resume"],
    ["no moments", (files) => files.delete("optimizer.safetensors"), "optimizer.safetensors must be there"],
    ["no JSON", (files) => files.set("trainer.json", new Blob(["{"])), "files: trainer.json"],
    [
      "another format",
      text((json) => ({ ...json, format: 2 })),
      "files: trainer.json: format must be 1, got 2",
    ],
    [
      "no step",
      text((json) => ({ ...json, step: "4" })),
      'trainer.json: step must be an integer >= 1, got "4"',
    ],
    [
      "no options",
      text((json) => ({ ...json, options: null })),
      "trainer.json: options must be an object, got null",
    ],
    [
      "fewer options",
      text((json) => ({ ...json, options: { seed: 6 } })),
      "trainer.json: options must have accumulate",
    ],
    [
      "a part missing",
      moments((entries) => entries.filter(({ name }) => name !== "ln.bias.exp_avg")),
      "optimizer.safetensors: ln.bias must have ln.bias.exp_avg, ln.bias.exp_avg_sq, ln.bias.step, got",
    ],
    [
      "another shape",
      moments((entries) =>
        entries.map((entry) => (entry.name === "ln.bias.exp_avg" ? zeros(entry.name, [4, 2]) : entry)),
      ),
      'optimizer.safetensors: ln.bias.exp_avg must be F32 [8], got "F32 [4,2]"',
    ],
    [
      "a strange tensor",
      moments((entries) => [...entries, zeros("other.exp_avg", [2])]),
      'optimizer.safetensors: tensors must be moments of the trainable parameters, got "other.exp_avg"',
    ],
    [
      "a truncated file",
      async (files) => files.set("optimizer.safetensors", files.get("optimizer.safetensors")!.slice(0, -4)),
      "optimizer.safetensors",
    ],
  ])("is refused with %s", async (_, spoil, message) => {
    const files = await saved();
    await spoil(files);
    const model = bigram();
    const kept = await model.values();
    await expect(run(model, { resume: files })).rejects.toThrow(message);
    await expect(run(model, { resume: files })).rejects.toBeInstanceOf(HeddleError);
    expect(await model.values()).toEqual(kept);
    model.dispose();
  });

  it("is refused when only a model was saved over the run's", async () => {
    const files = await saved();
    const model = bigram();
    const other = bigram({ seed: 5 });
    await other.save(files, { files: {}, metadata: {} });
    const kept = await model.values();
    await expect(run(model, { resume: files })).rejects.toThrow(
      "files: the weights must be those saved with trainer.json at step 4 to resume, got weights that were saved without it",
    );
    expect(await model.values()).toEqual(kept);
    model.dispose();
    other.dispose();
  });

  it("is refused where there is none, and for another model", async () => {
    const model = bigram();
    await expect(run(model, { resume: join(root, "nowhere") })).rejects.toThrow(
      `train: resume must be a directory with a checkpoint, got "${join(root, "nowhere")}"`,
    );
    const files = await saved();
    const target = new Map<string, Blob>();
    await saveCheckpoint(target, { config: {}, tensors: [zeros("body.wte.weight", [7, 8])] });
    files.set("model.safetensors", target.get("model.safetensors")!);
    await expect(run(model, { resume: files })).rejects.toThrow(
      "files: the tensors must be those of the model to resume, got none for ln.weight, ln.bias, head.weight, head.bias, unused.weight",
    );
    const shapes = model.parameters.map(({ name }) => zeros(`body.${name}`, [3]));
    await saveCheckpoint(target, { config: {}, tensors: shapes });
    files.set("model.safetensors", target.get("model.safetensors")!);
    await expect(run(model, { resume: files })).rejects.toThrow(
      "files: body.wte.weight must have the model's shape [7,8], got [3]",
    );
    model.dispose();
  });
});
