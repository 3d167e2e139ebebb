/** The same model on two backends, layer by layer: whether a device can be trusted, and where it goes wrong if not. Shapes: B batch, L length, D width, V vocabulary. */
import type { CheckpointLocation } from "@heddle/checkpoints";
import {
  activeBackend,
  checkFields,
  checkInteger,
  checkSignal,
  createWeights,
  reject,
  startBackend,
} from "@heddle/core";
import type { BackendStarter, WeightTree } from "@heddle/core";
import type { Tensor } from "@tensorflow/tfjs-core";
import type { ModelInputs } from "./inputs.ts";
import { loadModel } from "./load-model.ts";
import type { LoadOptions } from "./load-model.ts";
import type { LoadableFamily, Model, ModelOutput } from "./model.ts";

/** A family, whose config.json comes with the weights; or a function that defines the model over a tree of weights. */
export type VerifiedDefinition = LoadableFamily | ((weights: WeightTree) => Model);

/** Where the weights come from: a family's Hugging Face directory, or the seed of a function's first values. */
export type WeightsSource = CheckpointLocation | { readonly seed: number };

/** What `verify` takes besides; `registry` and `storage` are those of `loadModel`, for a family. */
export interface VerifyOptions extends Omit<LoadOptions, "families"> {
  /** What is trusted, then what is compared with it: `[wasm(), webgpu()]`. Neither may be running. */
  readonly backends: readonly [trusted: BackendStarter, compared: BackendStarter];
}

/** How far two backends are apart in one layer's values. */
export interface LayerDifference {
  /** `embeddings`, `layers.0` and so on; `pooled`, `nextSentenceLogits` and `logits` where the model has them. */
  readonly layer: string;
  /** The largest absolute difference; infinite where a value is not finite. */
  readonly difference: number;
  /** Of the angle between the values, all as one vector: 1 when they point the same way; NaN where one is not finite. */
  readonly cosine: number;
}

/** What `verify` found. */
export interface Verification {
  /** What the two ran on, for people. */
  readonly backends: readonly [trusted: string, compared: string];
  /** In the order in which they are computed. */
  readonly layers: readonly LayerDifference[];
  /** The layer with the largest difference, the first of several. */
  readonly worst: LayerDifference;
}

/** What a model gave on one backend. */
interface Pass {
  readonly description: string;
  /** By layer, in order, flat: [B L D] each, logits [B L V], pooled [B D], nextSentenceLogits [B 2]. */
  readonly values: ReadonlyMap<string, ArrayLike<number>>;
}

/** A model with weights of its own, and how to free both. */
interface Made {
  readonly model: Model;
  dispose(): void;
}

/** Checks what a model is made from, and gives what makes it on the active backend. */
function maker(
  definition: VerifiedDefinition,
  source: WeightsSource,
  load: Omit<LoadOptions, "families">,
): () => Promise<Made> {
  const isSeed = typeof source === "object" && source !== null && "seed" in source;
  if (typeof (definition as LoadableFamily | null)?.fromConfig === "function") {
    if (isSeed) reject("verify: weightsSource", "be a directory, as definition is a family", source);
    const families = [definition as LoadableFamily];
    return async () => {
      const { model } = await loadModel(source, { ...load, families });
      return { model, dispose: () => model.dispose() };
    };
  }
  if (typeof definition !== "function")
    reject("verify: definition", "be a family, or a function from weights to a model", definition);
  if (!isSeed) reject("verify: weightsSource", "be { seed }, as definition is a function", source);
  checkFields("verify: weightsSource", source, ["seed"]);
  checkInteger("verify: weightsSource.seed", source.seed, { min: 0 });
  return async () => {
    const weights = createWeights(source);
    try {
      const model = definition(weights);
      if (typeof model?.forward !== "function") reject("verify: definition", "give a model", model);
      // A swapped model does not own the weights below it.
      const dispose = (): void => {
        model.dispose();
        weights.dispose();
      };
      return { model, dispose };
    } catch (error) {
      weights.dispose();
      throw error;
    }
  };
}

function layersOf({ hiddenStates, logits, pooled, nextSentenceLogits }: ModelOutput): [string, Tensor][] {
  const [embeddings, ...states] = hiddenStates!;
  const named: [string, Tensor | undefined][] = [
    ["embeddings", embeddings],
    ...states.map((state, layer): [string, Tensor] => [`layers.${layer}`, state]),
    ["pooled", pooled],
    ["nextSentenceLogits", nextSentenceLogits],
    ["logits", logits],
  ];
  return named.filter((entry): entry is [string, Tensor] => entry[1] !== undefined);
}

/** One backend from its start to its stop. */
async function passOn(
  starter: BackendStarter,
  make: () => Promise<Made>,
  inputs: ModelInputs,
  signal: AbortSignal | undefined,
): Promise<Pass> {
  signal?.throwIfAborted();
  const backend = await startBackend(starter);
  let pass: Pass;
  try {
    const { model, dispose } = await make();
    try {
      signal?.throwIfAborted();
      const active = activeBackend();
      if (active !== backend)
        reject("verify: backends", `stay active (${starter.name})`, active?.name ?? "none", "invalid-state");
      const out = model.forward(inputs, { hiddenStates: true });
      try {
        const values = new Map<string, ArrayLike<number>>();
        for (const [layer, tensor] of layersOf(out)) values.set(layer, await tensor.data());
        pass = { description: backend.description, values };
      } finally {
        out.dispose();
      }
    } finally {
      dispose();
    }
  } catch (error) {
    // What its end has to say, of a lost device for example, comes from the same cause.
    await backend.dispose().catch(() => undefined);
    throw error;
  }
  await backend.dispose();
  return pass;
}

function compare(layer: string, trusted: ArrayLike<number>, compared: ArrayLike<number>): LayerDifference {
  let [difference, product, ofTrusted, ofCompared] = [0, 0, 0, 0];
  for (let i = 0; i < trusted.length; i++) {
    const [a, b] = [trusted[i]!, compared[i]!];
    const apart = Math.abs(a - b);
    // Whatever is not a number stays, since no comparison with it holds.
    difference = apart <= difference ? difference : Number.isNaN(apart) ? Infinity : apart;
    product += a * b;
    ofTrusted += a * a;
    ofCompared += b * b;
  }
  if (difference === 0) return { layer, difference, cosine: 1 };
  const lengths = Math.sqrt(ofTrusted) * Math.sqrt(ofCompared);
  return { layer, difference, cosine: lengths === 0 ? 0 : Math.min(1, product / lengths) };
}

/**
 * Runs a model on two backends, one after the other, and says for each layer how far they are apart:
 * `await verify(gpt, "./gpt2", { ids: [[1, 2, 3]] }, { backends: [wasm(), webgpu()] })`. The backends start and stop
 * here; the one that was active before is active again, and nothing stays allocated.
 *
 * @throws HeddleError `invalid-argument` for what does not fit; `unsupported` with the reason when a backend cannot
 * start; `invalid-state` when it runs already; whatever loading and the forward pass throw.
 */
export async function verify(
  definition: LoadableFamily,
  weightsSource: CheckpointLocation,
  inputs: ModelInputs,
  options: VerifyOptions,
): Promise<Verification>;
export async function verify(
  definition: (weights: WeightTree) => Model,
  weightsSource: { readonly seed: number },
  inputs: ModelInputs,
  options: VerifyOptions,
): Promise<Verification>;
export async function verify(
  definition: VerifiedDefinition,
  weightsSource: WeightsSource,
  inputs: ModelInputs,
  options: VerifyOptions,
): Promise<Verification> {
  checkFields("verify: options", options, ["backends", "registry", "storage", "signal"]);
  const { backends, ...load } = options;
  if (
    !Array.isArray(backends) ||
    backends.length !== 2 ||
    backends.some((starter) => typeof starter?.start !== "function")
  )
    reject("verify: backends", "be two starters, [wasm(), webgpu()] for example", backends);
  checkSignal("verify: signal", load.signal);
  const make = maker(definition, weightsSource, load);
  const trusted = await passOn(backends[0], make, inputs, load.signal);
  const compared = await passOn(backends[1], make, inputs, load.signal);
  const layers = [...trusted.values].map(([layer, values]) => {
    const others = compared.values.get(layer);
    if (others?.length !== values.length)
      reject(`verify: definition: ${layer}`, `give ${values.length} values each time`, others?.length ?? 0);
    return compare(layer, values, others);
  });
  const worst = layers.reduce((most, layer) => (layer.difference > most.difference ? layer : most));
  return { backends: [trusted.description, compared.description], layers, worst };
}
