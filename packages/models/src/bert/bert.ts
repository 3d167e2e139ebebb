/** BERT: https://arxiv.org/abs/1810.04805. Shapes: B batch, L length, D width. */
import * as tf from "@tensorflow/tfjs-core";
import type { Tensor } from "@tensorflow/tfjs-core";
import { reshape, residual, slice } from "@heddle/core";
import type { Weights } from "@heddle/core";
import { dropoutAt, dropoutOf, embedding, layerNorm, selfAttention } from "@heddle/nn";
import type { LayerContext } from "@heddle/nn";
import { defineModel } from "../define-model.ts";
import { inScope } from "../in-scope.ts";
import type { Layer } from "../in-scope.ts";
import { attentionOf } from "../model.ts";
import type { ModelFamily, Network } from "../model.ts";
import { bertQuirks, completeBertConfig, plainBertSwap, readBertConfig, writeBertConfig } from "./config.ts";
import type { BertConfig, BertOptions } from "./config.ts";
import type { EncoderConfig } from "./encoder-config.ts";

/** What a layer reads of the config. */
export type BertLayerConfig = Pick<
  EncoderConfig,
  | "width"
  | "heads"
  | "layers"
  | "innerWidth"
  | "activation"
  | "epsilon"
  | "dropout"
  | "attentionDropout"
  | "attention"
>;

/** One layer of BERT, and of the models that change only its attention. */
export function bertLayer(weights: Weights, config: BertLayerConfig, layer: number): Layer {
  const { width, heads, innerWidth, activation, epsilon, dropout, attentionDropout } = config;
  const attend = selfAttention(weights.at("attention.self"), {
    width,
    heads,
    attention: attentionOf(config, layer),
    dropout: attentionDropout,
    layer,
  });
  const project = weights.linear("attention.output.dense", { in: width, out: width });
  const normBetween = layerNorm(weights, "attention.output.LayerNorm", { width, epsilon });
  const up = weights.linear("intermediate.dense", { in: width, out: innerWidth });
  const down = weights.linear("output.dense", { in: innerWidth, out: width });
  const normAfter = layerNorm(weights, "output.LayerNorm", { width, epsilon });
  const drop = (name: string, context: LayerContext): ReturnType<typeof dropoutOf> =>
    dropoutOf(dropout, `${weights.path}.${name}`, context);

  // Post-norm: normalise after the residual, unlike GPT.
  const attended = inScope((x, context) =>
    normBetween(project(attend(x, context), drop("attention.output.dropout", context)), { residual: x }),
  );
  const transformed = inScope((x, context) =>
    normAfter(down(up(x, { activation }), drop("output.dropout", context)), { residual: x }),
  );
  return inScope((x, context) => transformed(attended(x, context), context));
}

function bertNetwork(weights: Weights, config: BertConfig): Network {
  const { vocabularySize, width, heads, maxLength, layers, tokenTypes, epsilon, dropout, activation } =
    config;
  const embeddings = weights.at("embeddings");
  const words = embedding(embeddings, "word_embeddings", { size: vocabularySize, width });
  const types = embedding(embeddings, "token_type_embeddings", { size: tokenTypes, width });
  const position = config.position.build(embeddings, {
    width,
    heads,
    maxLength,
    table: "position_embeddings",
  });
  const norm = layerNorm(embeddings, "LayerNorm", { width, epsilon });
  const stack = Array.from({ length: layers }, (_, layer) =>
    bertLayer(weights.at(`encoder.layer.${layer}`), config, layer),
  );
  const pool = config.pooler ? weights.linear("pooler.dense", { in: width, out: width }) : null;
  const relate = config.nextSentence ? weights.linear("cls.seq_relationship", { in: width, out: 2 }) : null;
  const predict =
    config.head === "mlm" ? predictions(weights, { width, vocabularySize, epsilon, activation }) : null;
  return {
    position,
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
      const [batch] = x.shape as [number];
      const first = (): Tensor => reshape(slice({ x, axis: 1, begin: 0, size: 1 }), [batch, width]);
      const pooled = pool?.(first(), { activation: "tanh" });
      return {
        lastHiddenState: x,
        ...(pooled && { pooled }),
        ...(pooled && relate && { nextSentenceLogits: relate(pooled) }),
        ...(predict && { toLogits: predict }),
      };
    },
  };
}

/** The head of masked language modelling; its output layer is tied to the word embeddings. */
function predictions(
  weights: Weights,
  config: Pick<BertConfig, "width" | "vocabularySize" | "epsilon" | "activation">,
): (x: Tensor) => Tensor {
  const { width, vocabularySize, epsilon, activation } = config;
  const transform = weights.linear("cls.predictions.transform.dense", { in: width, out: width });
  const norm = layerNorm(weights, "cls.predictions.transform.LayerNorm", { width, epsilon });
  const decode = weights.linear("embeddings.word_embeddings", {
    in: width,
    out: vocabularySize,
    bias: false,
  });
  const bias = weights.parameter("cls.predictions.bias", { shape: [vocabularySize] });
  return (x) => residual(decode(norm(transform(x, { activation }))), bias.tensor());
}

/**
 * BERT, with token types, pooler and the heads of masked language modelling and next-sentence prediction:
 * `bert({ ...bertPresets.tiny }, createWeights({ seed: 1 }))`.
 */
export const bert: ModelFamily<BertConfig, BertOptions> = defineModel<BertConfig, BertOptions>({
  family: "bert",
  modelType: "bert",
  decoder: false,
  quirks: bertQuirks,
  complete: completeBertConfig,
  readConfig: readBertConfig,
  writeConfig: writeBertConfig,
  plainSwap: plainBertSwap,
  define: bertNetwork,
});
