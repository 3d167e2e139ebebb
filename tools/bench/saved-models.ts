/** Models of published sizes with drawn weights, saved once under out/ for every process that measures. */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { cpu } from "@heddle/backend-cpu";
import { createWeights, startBackend } from "@heddle/core";
import { bert, bertPresets, gpt, gptPresets, longformer, longformerPresets } from "@heddle/models";
import type { Model } from "@heddle/models";
import type { WeightTree } from "@heddle/core";
import { values } from "./data.ts";

const encoder = { head: "none", pooler: false, dropout: 0 } as const;

const definitions = {
  "bert-base": (weights) => bert({ ...bertPresets.base, ...encoder }, weights),
  /** sentence-transformers/all-MiniLM-L6-v2 */
  "minilm-l6": (weights) =>
    bert({ ...bertPresets.base, ...encoder, width: 384, layers: 6, heads: 12 }, weights),
  gpt2: (weights) => gpt({ ...gptPresets.gpt2, dropout: 0 }, weights),
  "longformer-base": (weights) => longformer({ ...longformerPresets.base, ...encoder }, weights),
  /** nanoGPT's CPU settings, see tools/train-shakespeare. */
  "nanogpt-cpu": (weights) =>
    gpt({ vocabularySize: 65, maxLength: 64, width: 128, layers: 4, heads: 4 }, weights),
} as const satisfies Readonly<Record<string, (weights: WeightTree) => Model>>;

export type SavedModelName = keyof typeof definitions;

/** Where the model of that name and seed is, or will be. */
export const modelDirectory = (name: SavedModelName, seed: number): string =>
  join(process.cwd(), "out/bench/models", `${name}-${seed}`);

/** Saves it unless it is there; some twenty seconds for the large ones. No backend may run. */
export async function saveModel(name: SavedModelName, seed: number): Promise<void> {
  const directory = modelDirectory(name, seed);
  if (existsSync(join(directory, "config.json"))) return;
  const backend = await startBackend(cpu());
  try {
    const model = definitions[name](createWeights({ seed }));
    // Norms and biases start at 1 and 0, where a peer could do without them unseen.
    for (const { name: path, shape, size, tensor, assign } of model.parameters)
      if (shape.length === 1) {
        const first = tensor().dataSync()[0]!;
        assign(values(size, { seed, path, deviation: 0.02 }).map((value) => first + value));
      }
    await model.save(directory);
    model.dispose();
  } finally {
    await backend.dispose();
  }
}
