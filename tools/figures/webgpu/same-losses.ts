// Training on WebGPU gives the losses that WASM gives from the same seed, dropout included.
import { wasm } from "@heddle/backend-wasm";
import { webgpu } from "@heddle/backend-webgpu";
import { createWeights, startBackend } from "@heddle/core";
import type { BackendStarter } from "@heddle/core";
import { bert, gpt } from "@heddle/models";
import type { Model } from "@heddle/models";
import { adamw, mlmBatches, tokenWindows, train } from "@heddle/training";
import type { Batch, BatchSource, TokenRows } from "@heddle/training";
import { ensureSoftwareGpu } from "../../software-gpu/node.ts";
import type { Figure } from "../figure.ts";

const STEPS = 20;
const WITHIN = 1e-3;

const size = { vocabularySize: 48, maxLength: 16, width: 32, layers: 2, heads: 2, dropout: 0.1 } as const;
const text = Int32Array.from({ length: 600 }, (_, i) => (i * i + 3 * i) % size.vocabularySize);
const sentences = Array.from({ length: 20 }, (_, i) => [1, ...text.subarray(i * 9, i * 9 + 7 + (i % 4)), 2]);

interface Course {
  readonly model: () => Model;
  readonly batches: BatchSource<Batch<TokenRows>>;
}

/** What is trained, by name. */
export const courses: Readonly<Record<string, Course>> = {
  gpt: {
    model: () => gpt(size, createWeights({ seed: 1 })),
    batches: tokenWindows(text, { length: 16, batch: 2, seed: 1 }),
  },
  bert: {
    model: () => bert(size, createWeights({ seed: 1 })),
    batches: mlmBatches(sentences, {
      batch: 2,
      vocabularySize: size.vocabularySize,
      maskId: 3,
      specialIds: [1, 2],
      seed: 1,
    }),
  },
};

async function lossesOn(starter: BackendStarter, { model: make, batches }: Course): Promise<number[]> {
  const backend = await startBackend(starter);
  try {
    const model = make();
    const losses: number[] = [];
    for await (const { loss } of train(model, {
      batches,
      optimizer: adamw({ learningRate: 3e-3 }),
      steps: STEPS,
      clip: 1,
      seed: 7,
    }))
      losses.push(loss);
    model.dispose();
    return losses;
  } finally {
    await backend.dispose();
  }
}

/** The greatest difference of a step's loss, and the losses on WebGPU. */
export async function compareLosses(course: Course): Promise<{ difference: number; losses: number[] }> {
  const [expected, losses] = [await lossesOn(wasm(), course), await lossesOn(webgpu(), course)];
  const difference = losses.reduce((most, loss, step) => Math.max(most, Math.abs(loss - expected[step]!)), 0);
  return { difference, losses };
}

/** Takes about a minute in software. */
export default async function sameLossesFigure(): Promise<Figure[]> {
  await ensureSoftwareGpu({ keepInstalled: true });
  const figures: Figure[] = [];
  for (const [name, course] of Object.entries(courses)) {
    const { difference, losses } = await compareLosses(course);
    figures.push({
      figure: `${STEPS} steps of ${name} with dropout, losses against WASM's`,
      target: `<= ${WITHIN}`,
      measured: `${difference.toExponential(1)}, from ${losses[0]!.toFixed(3)} to ${losses.at(-1)!.toFixed(3)}`,
      held: difference <= WITHIN,
    });
  }
  return figures;
}
