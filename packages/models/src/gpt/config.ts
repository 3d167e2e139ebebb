import { full } from "@heddle/attention";
import { activations, checkFields, checkNumber, checkOneOf } from "@heddle/core";
import type { Activation } from "@heddle/core";
import { learned } from "@heddle/positions";
import * as v from "valibot";
import { activationName } from "../activation-names.ts";
import { between, integer, only, rate, readJson } from "../config.ts";
import { checkSizes } from "../model.ts";
import type { CheckpointQuirks, ModelConfig, PlainSwap, Swap } from "../model.ts";

/** Config of a GPT; the Hugging Face key stands behind each name. */
export interface GptConfig extends ModelConfig {
  /** `n_inner` */
  readonly innerWidth: number;
  /** `activation_function` */
  readonly activation: Activation;
  /** `layer_norm_epsilon` */
  readonly epsilon: number;
  /** `resid_pdrop` */
  readonly dropout: number;
  /** `embd_pdrop` */
  readonly embeddingDropout: number;
  /** `attn_pdrop` */
  readonly attentionDropout: number;
  /** `scale_attn_by_inverse_layer_idx`: the scores of layer i, from 0, are divided by i + 1 as well. */
  readonly inverseLayerScale: boolean;
}

/** What `gpt` takes. */
export interface GptOptions extends Swap {
  /** Number of token ids (`vocab_size`). */
  readonly vocabularySize: number;
  /** Greatest number of tokens (`n_positions`). */
  readonly maxLength: number;
  /** Width of the embeddings (`n_embd`). */
  readonly width: number;
  /** Number of blocks (`n_layer`). */
  readonly layers: number;
  /** Attention heads, which divide the width (`n_head`). */
  readonly heads: number;
  /** @default 4 width */
  readonly innerWidth?: number;
  /** @default "gelu_new" */
  readonly activation?: Activation;
  /** @default 1e-5 */
  readonly epsilon?: number;
  /** After each sublayer. @default 0 */
  readonly dropout?: number;
  /** After the embeddings. @default dropout */
  readonly embeddingDropout?: number;
  /** Of the attention probabilities. @default dropout */
  readonly attentionDropout?: number;
  /** @default false */
  readonly inverseLayerScale?: boolean;
}

const optionFields = [
  "vocabularySize",
  "maxLength",
  "width",
  "layers",
  "heads",
  "innerWidth",
  "activation",
  "epsilon",
  "dropout",
  "embeddingDropout",
  "attentionDropout",
  "inverseLayerScale",
  "attention",
  "position",
  "modifiers",
] as const satisfies readonly (keyof GptOptions)[];

/** Fills in the defaults. @throws HeddleError that names the option. */
export function completeGptConfig(options: GptOptions): GptConfig {
  checkFields("gpt: options", options, optionFields);
  const { width, dropout = 0 } = options;
  const config = {
    innerWidth: 4 * width,
    activation: "gelu_new" as const,
    epsilon: 1e-5,
    dropout,
    embeddingDropout: dropout,
    attentionDropout: dropout,
    inverseLayerScale: false,
    attention: full(),
    position: learned(),
    ...options,
  };
  // The width first, of which the other's default is made.
  checkSizes("gpt", config, ["width", "innerWidth"]);
  checkOneOf("gpt: activation", config.activation, activations);
  checkOneOf("gpt: inverseLayerScale", config.inverseLayerScale, [true, false]);
  checkNumber("gpt: epsilon", config.epsilon, { min: 0 });
  for (const key of ["dropout", "embeddingDropout", "attentionDropout"] as const)
    checkNumber(`gpt: ${key}`, config[key], { min: 0, max: 1 - 2 ** -24 });
  return config;
}

/** The keys of config.json that a GPT-2 has and this reads; the defaults are transformers'. */
const keys = {
  vocab_size: v.optional(integer(1), 50_257),
  n_positions: v.optional(integer(1), 1024),
  n_embd: v.optional(integer(1), 768),
  n_layer: v.optional(integer(1), 12),
  n_head: v.optional(integer(1), 12),
  n_inner: v.optional(integer(1)),
  activation_function: v.optional(activationName, "gelu_new"),
  layer_norm_epsilon: v.optional(between(0, 1), 1e-5),
  resid_pdrop: v.optional(rate(), 0.1),
  embd_pdrop: v.optional(rate(), 0.1),
  attn_pdrop: v.optional(rate(), 0.1),
  scale_attn_weights: v.optional(only(true), true),
  scale_attn_by_inverse_layer_idx: v.optional(v.boolean("be true or false"), false),
  tie_word_embeddings: v.optional(only(true), true),
  add_cross_attention: v.optional(only(false), false),
};

/** From the keys of config.json. @throws HeddleError `invalid-data` that names the key. */
export function readGptConfig(json: Readonly<Record<string, unknown>>): GptOptions {
  const read = readJson(json, keys);
  return {
    vocabularySize: read.vocab_size,
    maxLength: read.n_positions,
    width: read.n_embd,
    layers: read.n_layer,
    heads: read.n_head,
    ...(read.n_inner !== undefined && { innerWidth: read.n_inner }),
    activation: read.activation_function,
    epsilon: read.layer_norm_epsilon,
    dropout: read.resid_pdrop,
    embeddingDropout: read.embd_pdrop,
    attentionDropout: read.attn_pdrop,
    inverseLayerScale: read.scale_attn_by_inverse_layer_idx,
  };
}

/** To the keys of config.json. */
export function writeGptConfig(config: GptConfig): Record<string, unknown> {
  return {
    architectures: ["GPT2LMHeadModel"],
    model_type: "gpt2",
    vocab_size: config.vocabularySize,
    n_positions: config.maxLength,
    n_embd: config.width,
    n_layer: config.layers,
    n_head: config.heads,
    n_inner: config.innerWidth,
    activation_function: config.activation,
    layer_norm_epsilon: config.epsilon,
    resid_pdrop: config.dropout,
    embd_pdrop: config.embeddingDropout,
    attn_pdrop: config.attentionDropout,
    scale_attn_by_inverse_layer_idx: config.inverseLayerScale,
    tie_word_embeddings: true,
  };
}

/** Attention and position that a config.json stands for without the key `heddle`. */
export const plainGptSwap = (): PlainSwap => ({ attention: full(), position: learned() });

/** How the checkpoints of a GPT differ from the names in the tree. */
export const gptQuirks: CheckpointQuirks = {
  prefix: "transformer.",
  unprefixed: ["lm_head."],
  // The causal mask, which old checkpoints hold, and the tied output layer.
  ignored: [/^h\.\d+\.attn\.(bias|masked_bias)$/, /^lm_head\.weight$/],
};
