/** Builds GPT and BERT from JSON that names the plugin's parts, and shows which kernel runs: on the backend named. */
import * as tf from "@tensorflow/tfjs-core";
import { attentionOperation, causal } from "@heddle/attention";
import { wasm } from "@heddle/backend-wasm";
import { webgpu } from "@heddle/backend-webgpu";
import { createRegistry, explain, startBackend } from "@heddle/core";
import { standard } from "@heddle/models";
import acme from "./acme.ts";

const registry = createRegistry(standard, acme);
const { kernels } = registry;
const backend = await startBackend(process.argv[2] === "webgpu" ? webgpu({ kernels }) : wasm({ kernels }));
console.log(backend.description);

const small = { vocabularySize: 50, maxLength: 16, width: 16, layers: 2, heads: 2, seed: 1 };
const ids = [[1, 2, 3, 4, 5, 6, 7]];
for (const json of [
  { name: "gpt", ...small, attention: { name: "every-third" } },
  { name: "gpt", ...small, attention: { name: "shortcut" }, position: { name: "fading", rate: 0.5 } },
  { name: "bert", ...small, attention: { name: "every-third" }, position: { name: "fading", rate: 0.5 } },
  { name: "bert", ...small, attention: { name: "shortcut" } },
]) {
  const model = await registry.create("models", json);
  const { logits, dispose } = model.forward({ ids });
  const values = await logits!.data();
  if (!values.every(Number.isFinite)) throw new Error(`${JSON.stringify(json)}: logits must be finite`);
  dispose();
  model.dispose();
  console.log(`${JSON.stringify(json)}: ${logits!.shape.join(" x ")} logits`);
}

const q = tf.zeros([1, 2, 5, 4]);
const explanation = explain(attentionOperation, { q, k: q, v: q, pattern: causal() });
console.log(String(explanation));
if (explanation.kernel !== "attention.f32.acme.short")
  throw new Error(`the plugin's kernel must be chosen, got ${explanation.kernel}`);
const long = tf.zeros([1, 2, 65, 4]);
console.log(String(explain(attentionOperation, { q: long, k: long, v: long, pattern: causal() })));
tf.dispose([q, long]);
await backend.dispose();
