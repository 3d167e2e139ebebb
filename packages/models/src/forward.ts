import * as tf from "@tensorflow/tfjs-core";
import type { Tensor } from "@tensorflow/tfjs-core";
import type { AttentionModifier } from "@heddle/attention";
import {
  HeddleError,
  checkFields,
  checkInteger,
  checkOneOf,
  embedding,
  reject,
  requireBackend,
  reshape,
} from "@heddle/core";
import type { WeightTree } from "@heddle/core";
import type { AttentionMapRequest, LayerContext } from "@heddle/nn";
import { prepareInputs } from "./inputs.ts";
import type { ModelInputs, PreparedInputs } from "./inputs.ts";
import type { ForwardOptions, ModelConfig, ModelOutput, Network } from "./model.ts";

/** The parts of a model that a forward pass uses. */
export interface Runnable {
  readonly family: string;
  readonly decoder: boolean;
  readonly config: ModelConfig;
  readonly network: Network;
  readonly weights: WeightTree;
}

/** What changes the attention scores in every layer; the position's come with tensors, which the caller frees. */
export function scoreModifiers(
  { modifiers = [] }: Pick<ModelConfig, "modifiers">,
  { onScore }: Network["position"],
): readonly AttentionModifier[] {
  return [...(onScore?.() ?? []), ...modifiers];
}

/** How many tokens of each row count: all, or those before the padding on the right. */
function rowLengths({ batch, length, keep }: PreparedInputs): number[] {
  return Array.from({ length: batch }, (_, row) => {
    if (!keep) return length;
    return keep.subarray(row * length, (row + 1) * length).lastIndexOf(1) + 1;
  });
}

/** Positions of the tokens of each row, [L] or [B L]. */
function positionsOf(
  { network, family }: Runnable,
  inputs: PreparedInputs,
  { cache }: ForwardOptions,
): Int32Array {
  if (inputs.positionIds) return inputs.positionIds;
  if (network.positions) {
    if (cache)
      throw new HeddleError(
        "unsupported",
        `${family}: a cache needs positionIds, since this model counts positions its own way`,
      );
    return network.positions(inputs);
  }
  const { batch, length } = inputs;
  if (!cache) return Int32Array.from({ length }, (_, i) => i);
  return Int32Array.from(
    { length: batch * length },
    (_, i) => cache.lengths[Math.floor(i / length)]! + (i % length),
  );
}

function checkCache(
  { family, decoder, config }: Runnable,
  inputs: PreparedInputs,
  { cache, training }: ForwardOptions,
): void {
  if (!cache) return;
  if (!decoder)
    throw new HeddleError(
      "unsupported",
      `${family}: cache must not be given to an encoder, whose tokens see those after them`,
    );
  if (training) throw new HeddleError("invalid-argument", `${family}: cache must not be given in training`);
  if (cache.batch !== inputs.batch)
    reject(`${family}: cache`, `have ${inputs.batch} rows, as the ids`, cache.batch);
  if (cache.layers !== config.layers)
    reject(`${family}: cache`, `have ${config.layers} layers`, cache.layers);
  const { keep, length } = inputs;
  const hole = keep?.findIndex((flag, i) => i % length > 0 && flag === 1 && keep[i - 1] === 0) ?? -1;
  if (hole >= 0)
    reject(
      `${family}: attentionMask`,
      "have its padding on the right of each row when there is a cache",
      `a token after padding in row ${Math.floor(hole / length)}`,
    );
}

/** Collects the attention maps of the layers asked for. */
function mapRequest(
  { family, config }: Runnable,
  { attentionMaps }: ForwardOptions,
  found: Map<number, Tensor>,
): AttentionMapRequest | undefined {
  if (attentionMaps === undefined) return undefined;
  checkFields(`${family}: attentionMaps`, attentionMaps, ["layers", "heads", "rows"]);
  const { layers, heads, rows } = attentionMaps;
  if (layers !== undefined && !Array.isArray(layers))
    reject(`${family}: attentionMaps.layers`, "be a list of numbers", layers);
  layers?.forEach((layer) =>
    checkInteger(`${family}: attentionMaps.layers`, layer, { min: 0, max: config.layers - 1 }),
  );
  return {
    wants: (layer) => layers?.includes(layer) ?? true,
    ...(heads && { heads }),
    ...(rows && { rows }),
    give: (layer, map) => found.set(layer, map),
  };
}

/** The hidden state of the last kept token of each row: [B, D]. */
function lastOf(hidden: Tensor, lengths: readonly number[]): Tensor {
  const [batch, length, width] = hidden.shape as [number, number, number];
  const places = Int32Array.from(lengths, (count, row) => row * length + Math.max(count - 1, 0));
  return embedding(reshape(hidden, [batch * length, width]), tf.tensor1d(places, "int32"));
}

const optionFields = [
  "training",
  "cache",
  "logits",
  "hiddenStates",
  "attentionMaps",
] as const satisfies readonly (keyof ForwardOptions)[];

/**
 * One forward pass: checks, then computes inside one scope, so that only what is given back stays.
 * @throws HeddleError `invalid-state` without a backend, and for what does not fit the model.
 */
export function forward(model: Runnable, given: ModelInputs, options: ForwardOptions): ModelOutput {
  const { family, config, network } = model;
  requireBackend(family);
  const inputs = prepareInputs(given, {
    model: family,
    vocabularySize: config.vocabularySize,
    tokenTypes: config.tokenTypes ?? 1,
  });
  checkFields(`${family}: forward options`, options, optionFields);
  checkCache(model, inputs, options);
  if (options.training !== undefined) {
    checkFields(`${family}: training`, options.training, ["seed", "step"]);
    checkInteger(`${family}: training.seed`, options.training.seed, { min: 0 });
    checkInteger(`${family}: training.step`, options.training.step, { min: 0 });
  }
  checkOneOf(`${family}: logits`, options.logits ?? "all", ["all", "last", "none"]);
  const { batch, length } = inputs;
  const { cache, training, logits = "all" } = options;
  const positions = positionsOf(model, inputs, options);
  const lengths = rowLengths(inputs);
  const hiddenStates: Tensor[] = [];
  let last: Tensor | undefined;
  const maps = new Map<number, Tensor>();
  const request = mapRequest(model, options, maps);

  model.weights.pack();
  const computed = tf.tidy(() => {
    const { onQueryKey } = network.position;
    const context: LayerContext = {
      positions,
      attributes: inputs.attributes,
      padded: inputs.keep !== undefined,
      modifiers: scoreModifiers(config, network.position),
      ...(onQueryKey && { turn: (x: Tensor) => onQueryKey(x, positions) }),
      ...(training && { training }),
      ...(cache && { cache }),
      ...(request && { maps: request }),
    };
    const ids = tf.tensor2d(inputs.ids, [batch, length], "int32");
    const tokenTypes = tf.tensor2d(inputs.tokenTypes, [batch, length], "int32");
    const { lastHiddenState, toLogits, ...heads } = network.run({ ids, tokenTypes }, context, (hidden) => {
      if (options.hiddenStates) hiddenStates.push(hidden);
      else if (last !== hidden) last?.dispose();
      last = hidden;
    });
    return {
      lastHiddenState,
      ...heads,
      ...(toLogits &&
        logits !== "none" && {
          logits: toLogits(logits === "last" ? lastOf(lastHiddenState, lengths) : lastHiddenState),
        }),
      // Scopes keep what they find in plain objects and lists.
      hiddenStates,
      maps: [...maps.values()],
    };
  });
  cache?.advance(lengths);
  const { maps: _, hiddenStates: states, ...rest } = computed;
  return {
    ...rest,
    ...(options.hiddenStates && { hiddenStates: states }),
    ...(options.attentionMaps && { attentionMaps: maps }),
    dispose: () => tf.dispose(computed),
  };
}
