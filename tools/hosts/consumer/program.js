/** One program for every host: a BERT with a window, forward, then three steps of training. */
import { slidingWindow } from "@heddle/attention";
import { wasm } from "@heddle/backend-wasm";
import { webgpu } from "@heddle/backend-webgpu";
import { createWeights, startBackend } from "@heddle/core";
import { bert } from "@heddle/models";
import { adamw, train } from "@heddle/training";

const ids = [Array.from({ length: 60 }, (_, i) => (i * 7) % 50)];

/**
 * The backend's name and description, then some logits and the losses. It leaves the backend running, as most programs do.
 * The options are those of WASM; null stands for WebGPU.
 */
export async function run(options) {
  const backend = await startBackend(options ? wasm(options) : webgpu());
  const attention = slidingWindow({ before: 5, after: 3 });
  const size = { vocabularySize: 50, maxLength: 64, width: 40, layers: 2, heads: 2 };
  const model = bert({ ...size, attention }, createWeights({ seed: 1 }));
  const output = model.forward({ ids });
  const values = [...(await output.logits.data())].slice(0, 100);
  output.dispose();
  const batch = { inputs: { ids }, labels: Int32Array.from(ids[0]) };
  const steps = { batches: { at: () => batch }, optimizer: adamw({ learningRate: 1e-2 }), steps: 3 };
  for await (const { loss } of train(model, steps)) values.push(loss);
  return { description: `${backend.name}: ${backend.description}`, values };
}
