import type { Tensor } from "@tensorflow/tfjs-core";
import type { Attention, TokenAttributes } from "@heddle/attention";
import { createWeights, normal, randomStream } from "@heddle/core";
import type { Parameter, WeightTree } from "@heddle/core";
import { selfAttention } from "@heddle/nn";
import type { LayerContext, SelfAttentionSpec } from "@heddle/nn";

/** A self-attention layer with weights of its own, for tests. */
export interface AttentionLayer {
  /** The tree that the layer was defined over. */
  readonly weights: WeightTree;
  readonly parameters: readonly Parameter[];
  /** [B, L, width] to [B, L, width]. */
  forward(x: Tensor, context?: Partial<LayerContext>): Tensor;
}

/** Defines a layer over a tree; weights are drawn large enough for the attention to be far from even. */
export function attentionLayer(
  attention: Attention,
  spec: Omit<SelfAttentionSpec, "attention" | "layer"> & { readonly layer?: number },
  weights: WeightTree = createWeights({ seed: 3 }),
): AttentionLayer {
  const layer = selfAttention(weights, { layer: 0, ...spec, attention });
  const parameters = [...weights.declared.values()];
  for (const parameter of parameters)
    if (!parameter.filled && !weights.added.includes(parameter.name)) {
      const values = new Float32Array(parameter.size);
      normal(0.6)(values, parameter.shape, randomStream({ seed: 4, path: parameter.name }));
      parameter.assign(values);
    }
  return {
    weights,
    parameters,
    forward: (x, context = {}) => layer(x, { ...plainContext(x.shape[1]!), ...context }),
  };
}

/** A context without padding, cache or training. */
export function plainContext(length: number, attributes: TokenAttributes = {}): LayerContext {
  return {
    positions: Int32Array.from({ length }, (_, token) => token),
    attributes,
    padded: false,
    modifiers: [],
  };
}
