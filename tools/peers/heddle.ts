/** Ours, as a peer of the others: what a user of the packages would write, on the backend that is active. */
import * as tf from "@tensorflow/tfjs-core";
import type { Tensor } from "@tensorflow/tfjs-core";
import { attention, causal, createKeyValueCache, full } from "@heddle/attention";
import { activeBackend, createWeights, differentiate } from "@heddle/core";
import type { LinearLayer } from "@heddle/core";
import { bert, gpt, loadModel, longformer } from "@heddle/models";
import type { Model } from "@heddle/models";
import { adamw, train } from "@heddle/training";
import type { TokenBatch, TrainStep } from "@heddle/training";
import type {
  AttentionWork,
  DecodeWork,
  EncoderWork,
  LinearWork,
  Peer,
  Prepared,
  TrainingWork,
  Work,
} from "./peer.ts";
import { COMPARED_STEPS, training } from "./peer.ts";
import { keptRows } from "./saved-model.ts";
import { sparsePatterns } from "./sparse-patterns.ts";

/** One data set in place. */
interface Placed {
  /** Its results, to be freed. */
  compute(): Tensor[];
  /** From the results in one to what is compared. */
  arrange?(values: Float32Array): Float32Array;
  dispose(): void;
}

async function read(tensors: readonly Tensor[]): Promise<Float32Array> {
  const parts = await Promise.all(tensors.map((tensor) => tensor.data() as Promise<Float32Array>));
  tf.dispose([...tensors]);
  if (parts.length === 1) return parts[0]!;
  const all = new Float32Array(parts.reduce((sum, { length }) => sum + length, 0));
  parts.reduce((at, part) => (all.set(part, at), at + part.length), 0);
  return all;
}

/** As models have it: parameters in a tree, packed at the first call. */
function placeLinear({ rows, x, layers, activation }: LinearWork): Placed {
  const weights = createWeights();
  const stack = layers.map(({ into, out, weight, bias }, i): LinearLayer => {
    const layer = weights.linear(`${i}`, { in: into, out });
    weights.declared.get(`${i}.weight`)!.assign(weight);
    weights.declared.get(`${i}.bias`)!.assign(bias);
    return layer;
  });
  const input = tf.tensor2d(x, [rows, layers[0]!.into]);
  const options = activation ? { activation } : {};
  return {
    compute: () => [tf.tidy(() => stack.reduce<Tensor>((y, layer) => layer(y, options), input))],
    dispose() {
      weights.dispose();
      input.dispose();
    },
  };
}

function placeAttention(work: AttentionWork): Placed {
  const { heads, length, width, isCausal, pattern: name, dy } = work;
  const place = (x: Float32Array): tf.Tensor4D => tf.tensor4d(x, [1, heads, length, width]);
  const [q, k, v] = [place(work.q), place(work.k), place(work.v)];
  const upstream = dy && place(dy);
  const pattern = name ? sparsePatterns[name] : isCausal ? causal() : full();
  const forward = (): Tensor => attention({ q, k, v, pattern });
  return {
    compute() {
      if (!upstream) return [tf.tidy(forward)];
      const { value, gradients } = differentiate(forward, [q, k, v], upstream);
      return [value, ...gradients.map((gradient) => gradient!)];
    },
    dispose: () => tf.dispose([q, k, v, ...(upstream ? [upstream] : [])]),
  };
}

const load = async (directory: string): Promise<Model> =>
  (await loadModel(directory, { families: [bert, gpt, longformer] })).model;

/** A list of rows. */
const rowsOf = (values: Int32Array, length: number): number[][] =>
  Array.from({ length: values.length / length }, (_, row) => [
    ...values.subarray(row * length, (row + 1) * length),
  ]);

async function placeEncoder({ directory, length, ids, keep, dense = false }: EncoderWork): Promise<Placed> {
  const loaded = await load(directory);
  const model = dense ? loaded.with({ attention: full() }) : loaded;
  const inputs = {
    ids: rowsOf(ids, length),
    ...(keep.includes(0) && { attentionMask: rowsOf(keep, length) }),
  };
  return {
    compute: () => [model.forward(inputs, { logits: "none" }).lastHiddenState],
    arrange: (values) => keptRows(values, keep),
    dispose() {
      if (model !== loaded) model.dispose();
      loaded.dispose();
    },
  };
}

async function placeDecoder({ directory, token, past, cache, heads, width }: DecodeWork): Promise<Placed> {
  const model = await load(directory);
  const held = createKeyValueCache({ layers: model.config.layers, capacity: past + 1 });
  for (let layer = 0; layer < model.config.layers; layer++)
    tf.tidy(() => {
      const place = (x: Float32Array): Tensor => tf.tensor4d(x, [1, heads, past, width]);
      held.layer(layer).append(place(cache[2 * layer]!), place(cache[2 * layer + 1]!));
    });
  held.advance(past);
  return {
    compute() {
      const { logits, lastHiddenState } = model.forward({ ids: [[token]] }, { cache: held, logits: "last" });
      lastHiddenState.dispose();
      held.truncate(past);
      return [logits!];
    },
    dispose() {
      held.dispose();
      model.dispose();
    },
  };
}

/** A run of training without an end, of which each pass takes a step. */
async function prepareTraining({ directory, length, steps }: TrainingWork): Promise<Prepared> {
  const { clip, ...rule } = training;
  const open = async (): Promise<{ next(): Promise<TrainStep>; close(): Promise<void> }> => {
    const model = await load(directory);
    const batches = steps.map((tokens) => {
      const rows = rowsOf(tokens, length + 1);
      return {
        inputs: { ids: rows.map((row) => row.slice(0, length)) },
        labels: Int32Array.from(rows.flatMap((row) => row.slice(1))),
      };
    });
    const run = train<Model, TokenBatch>(model, {
      batches: { at: (step) => batches[(step - 1) % batches.length]! },
      optimizer: adamw(rule),
      steps: Number.MAX_SAFE_INTEGER,
      clip,
    });
    return {
      next: async () => (await run.next()).value as TrainStep,
      async close() {
        await run.return();
        model.dispose();
      },
    };
  };
  const endless = await open();
  return {
    run: async () => void (await endless.next()),
    async values() {
      const fresh = await open();
      const losses = new Float32Array(COMPARED_STEPS);
      for (let step = 0; step < COMPARED_STEPS; step++) losses[step] = (await fresh.next()).loss;
      await fresh.close();
      return losses;
    },
    dispose: () => endless.close(),
  };
}

async function place(work: Exclude<Work, TrainingWork>): Promise<Placed> {
  switch (work.kind) {
    case "linear":
      return placeLinear(work);
    case "attention":
      return placeAttention(work);
    case "encoder":
      return placeEncoder(work);
    case "decode":
      return placeDecoder(work);
  }
}

/** Places works on the backend that is active. */
export async function prepareHeddle(works: readonly Work[]): Promise<Prepared> {
  const first = works[0]!;
  if (first.kind === "training") return prepareTraining(first);
  const placed: Placed[] = [];
  for (const work of works) placed.push(await place(work as typeof first));
  const compute = (set: number): Promise<Float32Array> => read(placed[set]!.compute());
  return {
    run: async (set) => void (await compute(set)),
    async values(set) {
      const values = await compute(set);
      return placed[set]!.arrange?.(values) ?? values;
    },
    heap: () => activeBackend()!.memory().heap ?? 0,
    dispose: async () => placed.forEach((one) => one.dispose()),
  };
}

/** Needs nothing but a backend that is started. */
export async function startHeddle(): Promise<Peer> {
  return { name: "ours", prepare: prepareHeddle, stop: async () => {} };
}
