import * as tf from "@tensorflow/tfjs-core";
import type { Tensor } from "@tensorflow/tfjs-core";
import type { LayerContext } from "@heddle/nn";

/** One layer of a model: [B, L, D] to [B, L, D]. */
export type Layer = (x: Tensor, context: LayerContext) => Tensor;

/**
 * A layer that frees what it allocates besides its result and the attention maps that were asked for, so that the next
 * one computes in the same memory.
 */
export function inScope(layer: Layer): Layer {
  return (x, context) => {
    const given: Tensor[] = [];
    const { maps } = context;
    const keeping = maps && {
      ...maps,
      give(number: number, map: Tensor): void {
        given.push(map);
        maps.give(number, map);
      },
    };
    return tf.tidy(() => ({ y: layer(x, { ...context, ...(keeping && { maps: keeping }) }), given })).y;
  };
}
