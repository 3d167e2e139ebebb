import { full } from "@heddle/attention";
import { checkFields, checkOneOf, reject } from "@heddle/core";
import { learned } from "@heddle/positions";
import * as v from "valibot";
import { oneOf, readJson } from "../config.ts";
import type { CheckpointQuirks, PlainSwap } from "../model.ts";
import { checkEncoder, encoderKeys, readEncoder, writeEncoder } from "./encoder-config.ts";
import type { EncoderConfig, EncoderOptions } from "./encoder-config.ts";

/** Config of a BERT. */
export interface BertConfig extends EncoderConfig {
  readonly nextSentence: boolean;
}

/** What `bert` takes. */
export interface BertOptions extends EncoderOptions {
  /** Whether `pooled` goes on to the two logits of next-sentence prediction, `nextSentenceLogits`. @default false */
  readonly nextSentence?: boolean;
}

/** The options that BERT and its kin share. */
export const encoderOptionFields: readonly (keyof EncoderOptions)[] = [
  "vocabularySize",
  "maxLength",
  "width",
  "layers",
  "heads",
  "tokenTypes",
  "innerWidth",
  "activation",
  "epsilon",
  "dropout",
  "attentionDropout",
  "pooler",
  "head",
  "attention",
  "position",
  "modifiers",
];

/** Fills in the defaults. @throws HeddleError that names the option. */
export function completeBertConfig(options: BertOptions): BertConfig {
  checkFields("bert: options", options, [...encoderOptionFields, "nextSentence"]);
  const { width, dropout = 0 } = options;
  const config = {
    maxLength: 512,
    tokenTypes: 2,
    innerWidth: 4 * width,
    activation: "gelu" as const,
    epsilon: 1e-12,
    dropout,
    attentionDropout: dropout,
    pooler: true,
    head: "mlm" as const,
    nextSentence: false,
    attention: full(),
    position: learned(),
    ...options,
  };
  checkEncoder("bert", config);
  checkOneOf("bert: nextSentence", config.nextSentence, [true, false]);
  if (config.nextSentence && !config.pooler)
    reject("bert: pooler", "be there for next-sentence prediction, which reads it", config.pooler);
  return config;
}

/** From the keys of config.json. @throws HeddleError `invalid-data` that names the key. */
export function readBertConfig(
  json: Readonly<Record<string, unknown>>,
  names: ReadonlySet<string>,
): BertOptions {
  const read = readJson(json, {
    ...encoderKeys,
    position_embedding_type: v.optional(oneOf(["absolute"]), "absolute"),
  });
  return {
    ...readEncoder(read),
    pooler: names.has("pooler.dense.weight"),
    head: names.has("cls.predictions.bias") ? "mlm" : "none",
    nextSentence: names.has("cls.seq_relationship.weight"),
  };
}

function architectureOf({ head, pooler, nextSentence }: BertConfig): string {
  if (head === "mlm") return pooler ? "BertForPreTraining" : "BertForMaskedLM";
  return nextSentence ? "BertForNextSentencePrediction" : "BertModel";
}

/** To the keys of config.json. */
export function writeBertConfig(config: BertConfig): Record<string, unknown> {
  return {
    architectures: [architectureOf(config)],
    model_type: "bert",
    ...writeEncoder(config),
  };
}

/** Attention and position that a config.json stands for without the key `heddle`. */
export const plainBertSwap = (): PlainSwap => ({ attention: full(), position: learned() });

/** How the checkpoints of a BERT differ from the names in the tree. */
export const bertQuirks: CheckpointQuirks = {
  prefix: "bert.",
  unprefixed: ["cls."],
  // A buffer and the tied output layer.
  ignored: [/^embeddings\.position_ids$/, /^cls\.predictions\.decoder\.(weight|bias)$/],
  renamed: [
    [/\.gamma$/, ".weight"],
    [/\.beta$/, ".bias"],
  ],
};
