import { longformer as longformerAttention } from "@heddle/attention";
import { breakCheckpoint, damageKinds, useBackend } from "@heddle/conformance";
import { HeddleError, createWeights } from "@heddle/core";
import { relativeBias } from "@heddle/positions";
import * as tf from "@tensorflow/tfjs-core";
import { describe, expect, it } from "vitest";
import { bert } from "./bert/bert.ts";
import { gpt } from "./gpt/gpt.ts";
import { loadModel } from "./load-model.ts";
import { longformer } from "./longformer/longformer.ts";
import type { Model, Swap } from "./model.ts";

const families = [gpt, bert, longformer];
const options = { vocabularySize: 5, maxLength: 4, width: 4, layers: 1, heads: 2 };

/** The files that a swap of a model is saved as. */
async function bytesOf(model: Model, swap: Swap, maxShardBytes?: number): Promise<Map<string, Uint8Array>> {
  const swapped = model.with(swap);
  const files = new Map<string, Blob>();
  await swapped.save(files, { ...(maxShardBytes && { maxShardBytes }) });
  swapped.dispose();
  model.dispose();
  const bytes = new Map<string, Uint8Array>();
  for (const [name, blob] of files) bytes.set(name, new Uint8Array(await blob.arrayBuffer()));
  return bytes;
}

/** One checkpoint of each family, with a `heddle` key each, one in shards. */
async function checkpoints(): Promise<Map<string, Uint8Array>[]> {
  const mechanism = longformerAttention({ window: 2 });
  return [
    await bytesOf(gpt(options, createWeights({ seed: 1 })), { position: relativeBias({ maxDistance: 1 }) }),
    await bytesOf(bert(options, createWeights({ seed: 2 })), { attention: mechanism }, 600),
    await bytesOf(longformer({ ...options, window: 4 }, createWeights({ seed: 3 })), {
      attention: [mechanism],
    }),
  ];
}

describe("2,000 broken checkpoints of models", () => {
  useBackend("cpu");

  it("each loads and runs, or is refused with a HeddleError, and leaves no tensor", async () => {
    const bases = await checkpoints();
    const held = tf.memory().numTensors;
    const outcomes = new Map<string, { ran: number; refused: number }>();
    let slowest = 0;
    for (let seed = 0; seed < 2000; seed++) {
      const { files, damage } = breakCheckpoint(bases[Math.floor(seed / damageKinds.length) % 3]!, seed);
      const location = new Map([...files].map(([name, bytes]) => [name, new Blob([bytes])]));
      const kind = damageKinds[seed % damageKinds.length]!;
      const outcome = outcomes.get(kind) ?? { ran: 0, refused: 0 };
      outcomes.set(kind, outcome);
      const begin = performance.now();
      try {
        const { model } = await loadModel(location, { families });
        try {
          model.forward({ ids: [[0, 1, 2]] }, { hiddenStates: true }).dispose();
        } finally {
          model.dispose();
        }
        outcome.ran++;
      } catch (error) {
        if (!(error instanceof HeddleError)) throw new Error(damage, { cause: error });
        expect(error.message, damage).toMatch(/ must /);
        expect(error.message.length, damage).toBeLessThan(1200);
        outcome.refused++;
      }
      slowest = Math.max(slowest, performance.now() - begin);
      expect(tf.memory().numTensors, damage).toBe(held);
    }
    expect(slowest).toBeLessThan(2000);
    // Whatever lies about the tensors is refused; values that changed are finite or refused.
    for (const kind of ["headerLies", "lengthLies", "noise"])
      expect([kind, outcomes.get(kind)!.ran]).toEqual([kind, 0]);
    const total = { ran: 0, refused: 0 };
    for (const { ran, refused } of outcomes.values()) {
      total.ran += ran;
      total.refused += refused;
    }
    expect(total.ran).toBeGreaterThan(200);
    expect(total.refused).toBeGreaterThan(1400);
  });
});
