/** Longformer: https://arxiv.org/abs/2004.05150, an encoder in RoBERTa's form. Shapes: B batch, L length, D width. */
import { reshape, residual, slice } from "@heddle/core";
import * as tf from "@tensorflow/tfjs-core";
import type { Tensor } from "@tensorflow/tfjs-core";
import type { Weights } from "@heddle/core";
import { dropoutAt, embedding, layerNorm } from "@heddle/nn";
import { bertLayer } from "../bert/bert.ts";
import type { PreparedInputs } from "../inputs.ts";
import { defineModel } from "../define-model.ts";
import type { ModelFamily, Network } from "../model.ts";
import {
  completeLongformerConfig,
  longformerQuirks,
  plainLongformerSwap,
  readLongformerConfig,
  writeLongformerConfig,
} from "./config.ts";
import type { LongformerConfig, LongformerOptions } from "./config.ts";

/** RoBERTa's positions: tokens count on from padId + 1 whatever the mask says, pads have padId. */
function positionsFrom({ ids, batch, length }: PreparedInputs, padId: number): Int32Array {
  const positions = new Int32Array(batch * length);
  for (let row = 0; row < batch; row++) {
    let count = 0;
    for (let i = row * length; i < (row + 1) * length; i++)
      positions[i] = padId + (ids[i] === padId ? 0 : ++count);
  }
  return positions;
}

/** The head of masked language modelling, RoBERTa's; its output layer is tied to the word embeddings. */
function predictions(
  weights: Weights,
  { width, vocabularySize, epsilon }: LongformerConfig,
): (x: Tensor) => Tensor {
  const transform = weights.linear("lm_head.dense", { in: width, out: width });
  const norm = layerNorm(weights, "lm_head.layer_norm", { width, epsilon });
  const decode = weights.linear("embeddings.word_embeddings", {
    in: width,
    out: vocabularySize,
    bias: false,
  });
  const bias = weights.parameter("lm_head.bias", { shape: [vocabularySize] });
  return (x) => residual(decode(norm(transform(x, { activation: "gelu" }))), bias.tensor());
}

function longformerNetwork(weights: Weights, config: LongformerConfig): Network {
  const { vocabularySize, width, heads, maxLength, layers, tokenTypes, epsilon, dropout, padId } = config;
  const embeddings = weights.at("embeddings");
  const words = embedding(embeddings, "word_embeddings", { size: vocabularySize, width });
  const types = embedding(embeddings, "token_type_embeddings", { size: tokenTypes, width });
  const position = config.position.build(embeddings, {
    width,
    heads,
    maxLength: maxLength + padId + 1,
    first: padId + 1,
    table: "position_embeddings",
  });
  const norm = layerNorm(embeddings, "LayerNorm", { width, epsilon });
  const stack = Array.from({ length: layers }, (_, layer) =>
    bertLayer(weights.at(`encoder.layer.${layer}`), config, layer),
  );
  const pool = config.pooler ? weights.linear("pooler.dense", { in: width, out: width }) : null;
  const predict = config.head === "mlm" ? predictions(weights, config) : null;
  return {
    position,
    positions: (inputs) => positionsFrom(inputs, padId),
    run({ ids, tokenTypes: segments }, context, keep) {
      let x = tf.tidy(() => {
        const embedded = residual(words(ids), types(segments));
        const placed = position.onEmbedding?.(embedded, context.positions) ?? embedded;
        return dropoutAt(norm(placed), dropout, "embeddings.dropout", context);
      });
      keep(x);
      for (const layer of stack) {
        x = layer(x, context);
        keep(x);
      }
      const first = (): Tensor => reshape(slice({ x, axis: 1, begin: 0, size: 1 }), [x.shape[0]!, width]);
      return {
        lastHiddenState: x,
        ...(pool && { pooled: pool(first(), { activation: "tanh" }) }),
        ...(predict && { toLogits: predict }),
      };
    },
  };
}

/**
 * Longformer: sliding windows and global tokens, which `globalAttentionMask` names. Any length up to `maxLength`
 * works: nothing is padded to a multiple of the window.
 */
export const longformer: ModelFamily<LongformerConfig, LongformerOptions> = defineModel<
  LongformerConfig,
  LongformerOptions
>({
  family: "longformer",
  modelType: "longformer",
  decoder: false,
  quirks: longformerQuirks,
  complete: completeLongformerConfig,
  readConfig: readLongformerConfig,
  writeConfig: writeLongformerConfig,
  plainSwap: plainLongformerSwap,
  define: longformerNetwork,
});
