import { longformer as longformerAttention } from "@heddle/attention";
import type { AttentionMechanism } from "@heddle/attention";
import { checkFields, checkInteger, reject } from "@heddle/core";
import { learned } from "@heddle/positions";
import * as v from "valibot";
import { checkEncoder, encoderKeys, readEncoder, writeEncoder } from "../bert/encoder-config.ts";
import type { EncoderConfig, EncoderOptions } from "../bert/encoder-config.ts";
import { encoderOptionFields } from "../bert/config.ts";
import { integer, readJson } from "../config.ts";
import { greatestLayers } from "../model.ts";
import type { CheckpointQuirks, PlainSwap } from "../model.ts";

/** Config of a Longformer; the Hugging Face key stands behind each name. */
export interface LongformerConfig extends EncoderConfig {
  /** `attention_window` of each layer: both sides together, even. */
  readonly window: readonly number[];
  /** `pad_token_id`: positions count from the one after it. */
  readonly padId: number;
}

/** What `longformer` takes. */
export interface LongformerOptions extends EncoderOptions {
  /** Both sides of the window together, even; one for all layers or one each (`attention_window`). @default 512 */
  readonly window?: number | readonly number[];
  /** Id of the padding token (`pad_token_id`). @default 1 */
  readonly padId?: number;
}

const windowsOf = (window: number | readonly number[], layers: number): readonly number[] =>
  typeof window === "number" ? Array.from({ length: layers }, () => window) : window;

/** Layers with the same window share one mechanism, and with it their masks. */
function mechanismsOf(window: readonly number[]): readonly AttentionMechanism[] {
  const known = new Map(window.map((size) => [size, longformerAttention({ window: size })]));
  return window.map((size) => known.get(size)!);
}

/** Fills in the defaults. @throws HeddleError that names the option. */
export function completeLongformerConfig(options: LongformerOptions): LongformerConfig {
  checkFields("longformer: options", options, [...encoderOptionFields, "window", "padId"]);
  const { width, layers, dropout = 0, window: chosen = 512 } = options;
  checkInteger("longformer: layers", layers, { min: 1, max: greatestLayers });
  const window = windowsOf(chosen, layers);
  if (!Array.isArray(window) || window.length !== layers)
    reject("longformer: window", `be a number or hold one for each of ${layers} layers`, window);
  const config = {
    maxLength: 4096,
    tokenTypes: 1,
    innerWidth: 4 * width,
    activation: "gelu" as const,
    epsilon: 1e-5,
    dropout,
    attentionDropout: dropout,
    pooler: false,
    head: "mlm" as const,
    padId: 1,
    attention: mechanismsOf(window),
    position: learned(),
    ...options,
    window,
  };
  checkEncoder("longformer", config);
  checkInteger("longformer: padId", config.padId, { min: 0, max: config.vocabularySize - 1 });
  return config;
}

/** From the keys of config.json. @throws HeddleError `invalid-data` that names the key. */
export function readLongformerConfig(
  json: Readonly<Record<string, unknown>>,
  names: ReadonlySet<string>,
): LongformerOptions {
  const read = readJson(json, {
    ...encoderKeys,
    attention_window: v.optional(
      v.union([integer(2), v.array(integer(2))], "be an even integer >= 2 or a list of them"),
      512,
    ),
    pad_token_id: v.optional(integer(0), 1),
  });
  const maxLength = read.max_position_embeddings - read.pad_token_id - 1;
  if (maxLength < 1)
    reject(
      "config.json: max_position_embeddings",
      `be at least ${read.pad_token_id + 2}, since positions start after pad_token_id`,
      read.max_position_embeddings,
      "invalid-data",
    );
  return {
    ...readEncoder(read),
    maxLength,
    window: read.attention_window,
    padId: read.pad_token_id,
    pooler: names.has("pooler.dense.weight"),
    head: names.has("lm_head.bias") ? "mlm" : "none",
  };
}

/** To the keys of config.json. */
export function writeLongformerConfig(config: LongformerConfig): Record<string, unknown> {
  return {
    architectures: [config.head === "mlm" ? "LongformerForMaskedLM" : "LongformerModel"],
    model_type: "longformer",
    ...writeEncoder(config),
    max_position_embeddings: config.maxLength + config.padId + 1,
    attention_window: [...config.window],
    pad_token_id: config.padId,
  };
}

/** Attention and position that a config.json stands for without the key `heddle`. */
export const plainLongformerSwap = ({ window }: LongformerConfig): PlainSwap => ({
  attention: mechanismsOf(window),
  position: learned(),
});

/** How the checkpoints of a Longformer differ from the names in the tree. */
export const longformerQuirks: CheckpointQuirks = {
  prefix: "longformer.",
  unprefixed: ["lm_head."],
  ignored: [/^embeddings\.position_ids$/, /^lm_head\.decoder\.(weight|bias)$/],
};
