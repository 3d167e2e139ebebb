/** What all models share: from a config and a tree of weights to something that runs, swaps and saves. */
import type { Tensor } from "@tensorflow/tfjs-core";
import type { Attention, AttentionModifier, KeyValueCache } from "@heddle/attention";
import { checkInteger, reject } from "@heddle/core";
import type { Parameter, WeightTree, Weights } from "@heddle/core";
import type { LayerContext } from "@heddle/nn";
import type { BuiltPosition, Position } from "@heddle/positions";
import type { SaveCheckpointOptions, SaveLocation } from "@heddle/checkpoints";
import type { Tokenizer } from "@heddle/tokenizers";
import type { ModelInputs, PreparedInputs } from "./inputs.ts";

/** One kind of attention for all layers, or one for each. */
export type AttentionChoice = Attention | readonly Attention[];

/** What every config has; sizes are positive integers. */
export interface ModelConfig {
  readonly vocabularySize: number;
  /** Greatest number of tokens, where positions are learned. */
  readonly maxLength: number;
  readonly width: number;
  readonly layers: number;
  readonly heads: number;
  /** Number of token types, 1 when there are none. */
  readonly tokenTypes?: number;
  readonly attention: AttentionChoice;
  readonly position: Position;
  /** Changes of the attention scores in every layer, after those of the position: `[softCap({ cap: 50 })]`. @default none */
  readonly modifiers?: readonly AttentionModifier[];
}

/** How a forward pass runs and what it gives. */
export interface ForwardOptions {
  /** In training: the address of dropout's random numbers. */
  readonly training?: { readonly seed: number; readonly step: number };
  /** Keys and values of earlier tokens; those of this call are added. */
  readonly cache?: KeyValueCache;
  /** Logits of every token, of the last kept token of each row, or none. @default "all" */
  readonly logits?: "all" | "last" | "none";
  /** Also gives the embeddings' output and that of each layer. @default false */
  readonly hiddenStates?: boolean;
  /** Also gives attention probabilities, for all or some layers, heads and rows. */
  readonly attentionMaps?: {
    readonly layers?: readonly number[];
    readonly heads?: readonly number[];
    readonly rows?: readonly number[];
  };
}

/** What a forward pass gives. Dispose it, or run it inside `tf.tidy`. Shapes: B batch, L length, D width, V vocabulary. */
export interface ModelOutput {
  /** [B, L, D] */
  readonly lastHiddenState: Tensor;
  /** [B, L, V], or [B, V] for `logits: "last"`; absent when the model has no such head. */
  readonly logits?: Tensor;
  /** [B, D], of models with a pooler. */
  readonly pooled?: Tensor;
  /** [B, 2]: the second text follows the first, or does not; of a BERT with that head. */
  readonly nextSentenceLogits?: Tensor;
  /** The embeddings' output, then each layer's, [B, L, D] each; with `hiddenStates`. */
  readonly hiddenStates?: readonly Tensor[];
  /** [B, heads, rows, L] by layer; with `attentionMaps`. */
  readonly attentionMaps?: ReadonlyMap<number, Tensor>;
  dispose(): void;
}

/** Parts of a model that can be exchanged without touching its weights. */
export interface Swap {
  readonly attention?: AttentionChoice;
  readonly position?: Position;
  readonly modifiers?: readonly AttentionModifier[];
}

/** The attention and position that a family has without any swap. */
export type PlainSwap = Required<Omit<Swap, "modifiers">>;

/** A model over its weights. */
export interface Model<C extends ModelConfig = ModelConfig> {
  /** Name of the family: `gpt`. */
  readonly family: string;
  /** Whether no token sees a later one, so that the model can continue a text. */
  readonly decoder: boolean;
  readonly config: C;
  readonly weights: WeightTree;
  /** The parameters that this model uses, in the order of the definition. */
  readonly parameters: readonly Parameter[];
  /** Names of the parameters that a swap had to add to the weights; their first values have a declared source. */
  readonly added: readonly string[];
  /**
   * Whether this is a decoder of which every attention layer works with a `KeyValueCache`: no pattern and no score
   * modifier changes with the length.
   * @throws HeddleError `invalid-state` without a backend, where the position has score modifiers, which bring tensors.
   */
  readonly cacheable: boolean;
  /** Number of values in the parameters, tied ones counted once. */
  parameterCount(): number;
  /**
   * @throws HeddleError `invalid-argument` for inputs that do not fit, before anything is computed.
   */
  forward(inputs: ModelInputs, options?: ForwardOptions): ModelOutput;
  /** The same weights, not copied, under another attention or position. Disposing it frees only what it added. */
  with(swap: Swap): Model<C>;
  /**
   * Writes a Hugging Face directory: config.json, model.safetensors and the tokenizer's files; whole or not at all.
   * A swapped attention or position is kept under the key `heddle` of config.json, which transformers ignores.
   */
  save(location: SaveLocation, options?: SaveOptions): Promise<void>;
  /** Frees the weights; those that a swap shares stay. */
  dispose(): void;
}

export interface SaveOptions {
  readonly tokenizer?: Tokenizer;
  /** @default "F32" */
  readonly dtype?: "F32" | "F16" | "BF16";
  readonly maxShardBytes?: number;
  /** Further files by name, saved with the model or not at all: an optimizer's state. */
  readonly files?: SaveCheckpointOptions["files"];
  /** Further texts in the header of the weights, beside `format`. */
  readonly metadata?: SaveCheckpointOptions["metadata"];
}

/** A network as a definition gives it. */
export interface Network {
  readonly position: BuiltPosition;
  /** Runs the layers. `keep` takes each hidden state when the one before is not needed any more: that may be freed. */
  run(inputs: NetworkInputs, context: LayerContext, keep: (hidden: Tensor) => void): NetworkOutput;
  /** Positions when the caller gives none, for models that count their own way. */
  positions?(inputs: PreparedInputs): Int32Array;
}

/** Inputs as tensors: int32, [B, L]. */
export interface NetworkInputs {
  readonly ids: Tensor;
  readonly tokenTypes: Tensor;
}

/** What the layers give; the fields are those of `ModelOutput`. */
export interface NetworkOutput {
  /** [B, L, D] */
  readonly lastHiddenState: Tensor;
  /** Hidden states [..., D] to logits [..., V]. */
  readonly toLogits?: (hidden: Tensor) => Tensor;
  readonly pooled?: Tensor;
  readonly nextSentenceLogits?: Tensor;
}

/** How a family's checkpoints differ from the tree's names. */
export interface CheckpointQuirks {
  /** Put before the names of the network without heads, `transformer.`; read with and without. */
  readonly prefix: string;
  /** Beginnings of names that never have the prefix: the heads. */
  readonly unprefixed: readonly string[];
  /** Names in checkpoints that are read over: buffers, ties, heads of other tasks. */
  readonly ignored: readonly RegExp[];
  /** Old names to today's. */
  readonly renamed?: readonly (readonly [RegExp, string])[];
}

/** What defines a family of models. `C` is its config, `O` the options that a user gives. */
export interface FamilyDefinition<C extends ModelConfig, O extends Swap> {
  readonly family: string;
  /** `model_type` in config.json. */
  readonly modelType: string;
  /** Whether no token sees a later one, whatever the attention. */
  readonly decoder: boolean;
  readonly quirks: CheckpointQuirks;
  /** Fills in defaults and checks what is the family's own. */
  complete(options: O): C;
  /** From config.json; throws HeddleError that names the key. `names` are the checkpoint's in the tree's form. */
  readConfig(json: Readonly<Record<string, unknown>>, names: ReadonlySet<string>): O;
  /** To the keys of config.json, `architectures` among them. */
  writeConfig(config: C): Record<string, unknown>;
  /** Attention and position that the keys of config.json stand for; others are saved under the key `heddle`. */
  plainSwap(config: C): PlainSwap;
  /** Declares the parameters and gives the network. */
  define(weights: Weights, config: C): Network;
}

/** What `loadModel` and the registry need of a family. */
export interface LoadableFamily {
  /** `gpt` */
  readonly family: string;
  /** `model_type` in config.json: `gpt2`. */
  readonly modelType: string;
  readonly quirks: CheckpointQuirks;
  /**
   * A model from the keys of config.json.
   * @param names The checkpoint's names in the tree's form, which tell what heads there are.
   */
  fromConfig(
    json: Readonly<Record<string, unknown>>,
    names: ReadonlySet<string>,
    weights: WeightTree,
    swap?: Swap,
  ): Model;
}

/** A family of models: `gpt(options, weights)` builds one. */
export interface ModelFamily<C extends ModelConfig, O extends Swap> extends LoadableFamily {
  (options: O, weights: WeightTree): Model<C>;
}

/** The most layers that a model may have, so that a lying config.json cannot ask for a billion. */
export const greatestLayers = 10_000;

/** Checks sizes by their names, before anything is made of them. */
export function checkSizes<K extends string>(
  family: string,
  config: Readonly<Record<K, unknown>>,
  names: readonly K[],
): void {
  for (const name of names) checkInteger(`${family}: ${name}`, config[name], { min: 1 });
}

/** The attention of each layer. */
export function attentionOf(
  { attention, layers }: Pick<ModelConfig, "attention" | "layers">,
  layer: number,
): Attention {
  const isList = Array.isArray(attention);
  if (isList && attention.length !== layers)
    reject("model: attention", `be one value or hold one for each of ${layers} layers`, attention.length);
  const chosen = (isList ? attention[layer] : attention) as Attention;
  if (chosen?.kind !== "pattern" && chosen?.kind !== "mechanism")
    reject("model: attention", "be a pattern or a mechanism, or a list with one for each layer", chosen);
  return chosen;
}

/** What a model keeps of the config.json that it was loaded from, for saving. */
export type OriginalConfig = Readonly<Record<string, unknown>>;

declare module "@heddle/core" {
  interface RegistryKinds {
    models: Model;
  }
}
