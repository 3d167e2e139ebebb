/** What BERT and its kin share of config.json. */
import { activations, checkNumber, checkOneOf } from "@heddle/core";
import type { Activation } from "@heddle/core";
import * as v from "valibot";
import { activationName } from "../activation-names.ts";
import { between, integer, only, rate } from "../config.ts";
import { checkSizes } from "../model.ts";
import type { ModelConfig, Swap } from "../model.ts";

/** Config of BERT and its kin; the Hugging Face key stands behind each name. */
export interface EncoderConfig extends ModelConfig {
  /** `type_vocab_size` */
  readonly tokenTypes: number;
  /** `intermediate_size` */
  readonly innerWidth: number;
  /** `hidden_act` */
  readonly activation: Activation;
  /** `layer_norm_eps` */
  readonly epsilon: number;
  /** `hidden_dropout_prob` */
  readonly dropout: number;
  /** `attention_probs_dropout_prob` */
  readonly attentionDropout: number;
  readonly pooler: boolean;
  readonly head: "mlm" | "none";
}

/** What BERT and its kin take. */
export interface EncoderOptions extends Swap {
  /** Number of token ids (`vocab_size`). */
  readonly vocabularySize: number;
  /** Greatest number of tokens (`max_position_embeddings`). @default 512 */
  readonly maxLength?: number;
  /** `hidden_size` */
  readonly width: number;
  /** `num_hidden_layers` */
  readonly layers: number;
  /** Attention heads, which divide the width (`num_attention_heads`). */
  readonly heads: number;
  /** Segments that a token can belong to. @default 2 */
  readonly tokenTypes?: number;
  /** @default 4 width */
  readonly innerWidth?: number;
  /** @default "gelu" */
  readonly activation?: Activation;
  /** @default 1e-12 */
  readonly epsilon?: number;
  /** @default 0 */
  readonly dropout?: number;
  /** Of the attention probabilities. @default dropout */
  readonly attentionDropout?: number;
  /** Whether the first token's state goes through a dense layer with tanh, as `pooled`. @default true */
  readonly pooler?: boolean;
  /** Whether there are logits of masked language modelling. @default "mlm" */
  readonly head?: "mlm" | "none";
}

/** The keys of config.json that BERT and its kin share. */
export interface EncoderKeys extends v.ObjectEntries {
  readonly vocab_size: v.GenericSchema<unknown, number>;
  readonly hidden_size: v.GenericSchema<unknown, number>;
  readonly num_hidden_layers: v.GenericSchema<unknown, number>;
  readonly num_attention_heads: v.GenericSchema<unknown, number>;
  readonly intermediate_size: v.GenericSchema<unknown, number>;
  readonly hidden_act: v.GenericSchema<unknown, Activation>;
  readonly hidden_dropout_prob: v.GenericSchema<unknown, number>;
  readonly attention_probs_dropout_prob: v.GenericSchema<unknown, number>;
  readonly max_position_embeddings: v.GenericSchema<unknown, number>;
  readonly type_vocab_size: v.GenericSchema<unknown, number>;
  readonly layer_norm_eps: v.GenericSchema<unknown, number>;
  readonly is_decoder: v.GenericSchema<unknown, false>;
  readonly tie_word_embeddings: v.GenericSchema<unknown, true>;
}

/** Their schemas; the defaults are transformers'. */
export const encoderKeys: EncoderKeys = {
  vocab_size: v.optional(integer(1), 30_522),
  hidden_size: v.optional(integer(1), 768),
  num_hidden_layers: v.optional(integer(1), 12),
  num_attention_heads: v.optional(integer(1), 12),
  intermediate_size: v.optional(integer(1), 3072),
  hidden_act: v.optional(activationName, "gelu"),
  hidden_dropout_prob: v.optional(rate(), 0.1),
  attention_probs_dropout_prob: v.optional(rate(), 0.1),
  max_position_embeddings: v.optional(integer(1), 512),
  type_vocab_size: v.optional(integer(1), 2),
  layer_norm_eps: v.optional(between(0, 1), 1e-12),
  is_decoder: v.optional(only(false), false),
  tie_word_embeddings: v.optional(only(true), true),
};

/** What the keys say, checked. */
export type EncoderJson = {
  readonly [K in keyof EncoderKeys as string extends K ? never : K]: v.InferOutput<EncoderKeys[K]>;
};

/** The shared part of a config from the keys. */
export function readEncoder(
  read: EncoderJson,
): Omit<EncoderConfig, "attention" | "position" | "modifiers" | "pooler" | "head"> {
  return {
    vocabularySize: read.vocab_size,
    maxLength: read.max_position_embeddings,
    width: read.hidden_size,
    layers: read.num_hidden_layers,
    heads: read.num_attention_heads,
    tokenTypes: read.type_vocab_size,
    innerWidth: read.intermediate_size,
    activation: read.hidden_act,
    epsilon: read.layer_norm_eps,
    dropout: read.hidden_dropout_prob,
    attentionDropout: read.attention_probs_dropout_prob,
  };
}

/** The keys from the shared part of a config. */
export function writeEncoder(config: EncoderConfig): Record<string, unknown> {
  return {
    vocab_size: config.vocabularySize,
    hidden_size: config.width,
    num_hidden_layers: config.layers,
    num_attention_heads: config.heads,
    intermediate_size: config.innerWidth,
    hidden_act: config.activation,
    hidden_dropout_prob: config.dropout,
    attention_probs_dropout_prob: config.attentionDropout,
    max_position_embeddings: config.maxLength,
    type_vocab_size: config.tokenTypes,
    layer_norm_eps: config.epsilon,
    tie_word_embeddings: true,
  };
}

/** Checks what a caller may have given wrong. */
export function checkEncoder(family: string, config: EncoderConfig): void {
  // The width first, of which the default of innerWidth is made.
  checkSizes(family, config, ["vocabularySize", "width", "innerWidth", "tokenTypes"]);
  checkOneOf(`${family}: activation`, config.activation, activations);
  checkNumber(`${family}: epsilon`, config.epsilon, { min: 0 });
  checkOneOf(`${family}: pooler`, config.pooler, [true, false]);
  checkOneOf(`${family}: head`, config.head, ["mlm", "none"]);
  for (const key of ["dropout", "attentionDropout"] as const)
    checkNumber(`${family}: ${key}`, config[key], { min: 0, max: 1 - 2 ** -24 });
}
