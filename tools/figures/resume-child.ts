// A run that tools/figures/resume.ts kills and starts again: node resume-child.ts DIRECTORY STEPS
import { writeSync } from "node:fs";
import { wasm } from "@heddle/backend-wasm";
import { createWeights, startBackend } from "@heddle/core";
import { gpt } from "@heddle/models";
import { adamw, tokenWindows, train, warmupCosine } from "@heddle/training";

const [directory = "", count = ""] = process.argv.slice(2);
const steps = Number(count);
const text = Int32Array.from({ length: 2000 }, (_, i) => (i * i + 7 * i) % 40);

await startBackend(wasm());
const model = gpt(
  { vocabularySize: 40, maxLength: 16, width: 32, layers: 2, heads: 4, dropout: 0.1 },
  createWeights({ seed: 1 }),
);
const bits = new Float64Array(1);
for await (const { step, loss } of train(model, {
  batches: tokenWindows(text, { length: 16, batch: 4, seed: 1 }),
  optimizer: adamw({ learningRate: warmupCosine({ peak: 1e-2, warmup: 5, steps }), weightDecay: 0.1 }),
  steps,
  accumulate: 2,
  clip: 1,
  seed: 2,
  checkpoint: { directory, every: 2 },
  resume: true,
})) {
  bits[0] = loss;
  // At once, so that a step that was reported was done, whenever this process is killed.
  writeSync(1, `${step} ${Buffer.from(bits.buffer).toString("hex")}\n`);
}
