/** GPT-2: https://openai.com/research/better-language-models, after https://arxiv.org/abs/1706.03762. Shapes: B batch, L length, D width. */
import * as tf from "@tensorflow/tfjs-core";
import { normal } from "@heddle/core";
import type { Weights } from "@heddle/core";
import { dropoutAt, dropoutOf, embedding, feedForward, layerNorm, selfAttention } from "@heddle/nn";
import type { LayerContext } from "@heddle/nn";
import { defineModel } from "../define-model.ts";
import { inScope } from "../in-scope.ts";
import type { Layer } from "../in-scope.ts";
import { attentionOf } from "../model.ts";
import type { ModelFamily, Network } from "../model.ts";
import { completeGptConfig, gptQuirks, plainGptSwap, readGptConfig, writeGptConfig } from "./config.ts";
import type { GptConfig, GptOptions } from "./config.ts";

function gptBlock(weights: Weights, config: GptConfig, layer: number): Layer {
  const { width, heads, innerWidth, activation, epsilon, dropout, attentionDropout, layers } = config;
  const { inverseLayerScale } = config;
  // Each block adds to the residual stream twice, so what is added starts smaller in deeper models (GPT-2 §2.3).
  const outputInit = normal(0.02 / Math.sqrt(2 * layers));
  const normBefore = layerNorm(weights, "ln_1", { width, epsilon });
  const attend = selfAttention(weights.at("attn"), {
    width,
    heads,
    attention: attentionOf(config, layer),
    causal: true,
    dropout: attentionDropout,
    layer,
    names: { fused: "c_attn" },
    ...(inverseLayerScale && { scale: 1 / (Math.sqrt(width / heads) * (layer + 1)) }),
  });
  const project = weights.linear("attn.c_proj", {
    in: width,
    out: width,
    layout: "conv1d",
    init: outputInit,
  });
  const normBetween = layerNorm(weights, "ln_2", { width, epsilon });
  const names = { up: "c_fc", down: "c_proj" };
  const transform = feedForward(weights.at("mlp"), {
    width,
    innerWidth,
    activation,
    layout: "conv1d",
    names,
    downInit: outputInit,
  });
  const drop = (name: string, context: LayerContext): ReturnType<typeof dropoutOf> =>
    dropoutOf(dropout, `${weights.path}.${name}`, context);

  // Pre-norm: normalise before each sublayer, unlike BERT.
  const attended = inScope((x, context) =>
    project(attend(normBefore(x), context), { ...drop("attn.resid_dropout", context), residual: x }),
  );
  const transformed = inScope((x, context) =>
    transform(normBetween(x), { ...drop("mlp.dropout", context), residual: x }),
  );
  return inScope((x, context) => transformed(attended(x, context), context));
}

function gptNetwork(weights: Weights, config: GptConfig): Network {
  const { vocabularySize, width, heads, maxLength, layers, epsilon, embeddingDropout } = config;
  const tokens = embedding(weights, "wte", { size: vocabularySize, width });
  const position = config.position.build(weights, { width, heads, maxLength, table: "wpe" });
  const blocks = Array.from({ length: layers }, (_, layer) =>
    gptBlock(weights.at(`h.${layer}`), config, layer),
  );
  const finalNorm = layerNorm(weights, "ln_f", { width, epsilon });
  // The output layer is tied to the token embedding: the same name, the same parameter.
  const toLogits = weights.linear("wte", { in: width, out: vocabularySize, bias: false });
  return {
    position,
    run({ ids }, context, keep) {
      let x = tf.tidy(() => {
        const embedded = tokens(ids);
        const placed = position.onEmbedding?.(embedded, context.positions) ?? embedded;
        return dropoutAt(placed, embeddingDropout, "drop", context);
      });
      // As in Hugging Face, the last hidden state is the one after the final norm.
      for (const block of blocks) {
        keep(x);
        x = block(x, context);
      }
      x = finalNorm(x);
      keep(x);
      return { lastHiddenState: x, toLogits };
    },
  };
}

/**
 * GPT-2, or a model of your own in its form: `gpt({ ...gptPresets.tiny, vocabularySize: 256 }, createWeights({ seed: 1 }))`.
 * A decoder: whatever `attention` says, no token sees a later one.
 */
export const gpt: ModelFamily<GptConfig, GptOptions> = defineModel<GptConfig, GptOptions>({
  family: "gpt",
  modelType: "gpt2",
  decoder: true,
  quirks: gptQuirks,
  complete: completeGptConfig,
  readConfig: readGptConfig,
  writeConfig: writeGptConfig,
  plainSwap: plainGptSwap,
  define: gptNetwork,
});
