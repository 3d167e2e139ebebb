/** What BERT and its kin share of config.json. */
import { activations, checkNumber, checkOneOf } from "@heddle/core";
import type { Activation } from "@heddle/core";
import * as v from "valibot";
import { activationName } from "../activation-names.ts";
import { between, integer, only, rate } from "../config.ts";
import { checkSizes } from "../model.ts";
import type { EncoderConfig } from "./config.ts";

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
