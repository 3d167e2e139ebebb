/** From a family's definition to models: checks, builds, swaps. */
import * as tf from "@tensorflow/tfjs-core";
import { dependsOnLength } from "@heddle/attention";
import type { Attention } from "@heddle/attention";
import { checkFields, checkInteger, reject, requireBackend } from "@heddle/core";
import type { WeightTree } from "@heddle/core";
import { forward, scoreModifiers } from "./forward.ts";
import type { Runnable } from "./forward.ts";
import { attentionOf, checkSizes, greatestLayers } from "./model.ts";
import type { FamilyDefinition, Model, ModelConfig, ModelFamily, OriginalConfig, Swap } from "./model.ts";
import { saveModel } from "./save-model.ts";

const swapFields = ["attention", "position", "modifiers"] as const satisfies readonly (keyof Swap)[];

/** Whether every layer gives with a cache what it gives without. */
function worksWithCache(
  { family, decoder, config, network }: Runnable,
  layers: readonly Attention[],
): boolean {
  if (!decoder) return false;
  if (!layers.every((kind) => (kind.kind === "pattern" ? kind.prefixStable : kind.capabilities.cache)))
    return false;
  // A position's modifiers come with their tables, which are tensors.
  if (network.position.onScore) requireBackend(`${family}: cacheable`);
  return tf.tidy(() => !scoreModifiers(config, network.position).some(({ score }) => dependsOnLength(score)));
}

function build<C extends ModelConfig, O extends Swap>(
  definition: FamilyDefinition<C, O>,
  config: C,
  weights: WeightTree,
  original: OriginalConfig,
): Model<C> {
  const { family, decoder } = definition;
  checkSizes(family, config, ["vocabularySize", "maxLength", "width", "heads"]);
  checkInteger(`${family}: layers`, config.layers, { min: 1, max: greatestLayers });
  if (config.position?.kind !== "position")
    reject(`${family}: position`, "be a position, learned() for example", config.position);
  const { modifiers = [] } = config;
  if (!Array.isArray(modifiers) || modifiers.some((modifier) => modifier?.kind !== "modifier"))
    reject(`${family}: modifiers`, "be a list of modifiers", modifiers);
  if (config.width % config.heads !== 0)
    reject(`${family}: width`, `be a multiple of the ${config.heads} heads`, config.width);
  const layers = Array.from({ length: config.layers }, (_, layer) => attentionOf(config, layer));
  const network = definition.define(weights, config);
  const parameters = [...weights.declared.values()];
  const runnable: Runnable = { family, decoder, config, network, weights };
  let cacheable: boolean | undefined;
  const model: Model<C> = {
    family,
    decoder,
    config,
    weights,
    parameters,
    added: weights.added,
    get cacheable() {
      return (cacheable ??= worksWithCache(runnable, layers));
    },
    parameterCount: () => parameters.reduce((sum, { size }) => sum + size, 0),
    forward: (inputs, options = {}) => forward(runnable, inputs, options),
    with: (swap) => {
      checkFields(`${family}: swap`, swap ?? {}, swapFields);
      return build(definition, { ...config, ...swap }, weights.overlay(), original);
    },
    save: (location, options) => saveModel(definition, model, original, location, options),
    dispose: () => weights.dispose(),
  };
  return model;
}

/** Makes a family from its definition: see `gpt` for an example. */
export function defineModel<C extends ModelConfig, O extends Swap>(
  definition: FamilyDefinition<C, O>,
): ModelFamily<C, O> {
  const { family, modelType, quirks } = definition;
  const make = (options: O, weights: WeightTree): Model<C> => {
    if (typeof options !== "object" || options === null)
      reject(`${family}: options`, "be an object", options);
    if (typeof weights?.overlay !== "function")
      reject(`${family}: weights`, "be a tree, createWeights({ seed: 1 }) for example", weights);
    return build(definition, definition.complete(options), weights, {});
  };
  return Object.assign(make, {
    family,
    modelType,
    quirks,
    fromConfig: (
      json: OriginalConfig,
      names: ReadonlySet<string>,
      weights: WeightTree,
      swap: Swap = {},
    ): Model =>
      build(
        definition,
        definition.complete({ ...definition.readConfig(json, names), ...swap }),
        weights,
        json,
      ),
  });
}
