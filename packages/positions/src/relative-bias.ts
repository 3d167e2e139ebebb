import { lookup, modifier, score, variables } from "@heddle/attention";
import { checkFields, checkInteger, normal, reshape, transpose } from "@heddle/core";
import type { Position } from "./position.ts";

export interface RelativeBiasOptions {
  /** Distances beyond this share the bias of the last one, on each side. */
  readonly maxDistance: number;
}

/**
 * A trained number added to the score for each head and each clipped distance: the scalar form of
 * https://arxiv.org/abs/1803.02155 §3.1, as in https://arxiv.org/abs/1910.10683 §2.1 without its buckets.
 */
export function relativeBias(options: RelativeBiasOptions): Position {
  checkFields("relativeBias: options", options, ["maxDistance"]);
  const { maxDistance } = options;
  checkInteger("relativeBias: maxDistance", maxDistance, { min: 1 });
  const count = 2 * maxDistance + 1;
  const { query, key } = variables;
  const index = key.minus(query).maximum(-maxDistance).minimum(maxDistance).plus(maxDistance);
  const expression = score.plus(lookup("bias", index));
  return {
    kind: "position",
    name: "relative-bias",
    options: { maxDistance },
    build(weights, { heads }) {
      const table = weights.parameter("relative_bias.weight", { shape: [count, heads], init: normal(0.02) });
      return {
        onScore: () => [
          modifier("relative-bias", { maxDistance }, expression, {
            bias: reshape(transpose(table.tensor(), [1, 0]), [1, heads, 1, count]),
          }),
        ],
      };
    },
  };
}
