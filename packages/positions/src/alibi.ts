import * as tf from "@tensorflow/tfjs-core";
import { fromInteger, lookup, modifier, score, variables } from "@heddle/attention";
import { checkInteger } from "@heddle/core";
import type { Position } from "./position.ts";

/** The slope of each head; where the count is no power of 2, those of the next table fill in (the paper's code). */
export function alibiSlopes(heads: number): number[] {
  checkInteger("alibiSlopes: heads", heads, { min: 1 });
  const power = 2 ** Math.floor(Math.log2(heads));
  const geometric = (count: number): number[] =>
    Array.from({ length: count }, (_, i) => 2 ** ((-8 * (i + 1)) / count));
  const extra = geometric(2 * power).filter((_, i) => i % 2 === 0);
  return [...geometric(power), ...extra.slice(0, heads - power)];
}

/** A penalty on the score that grows with the distance, at a slope of its own for each head: https://arxiv.org/abs/2108.12409 §3. */
export function alibi(): Position {
  const { query, key } = variables;
  // Minus the distance, on either side, so that it serves encoders too.
  const distance = key.minus(query).minimum(query.minus(key));
  const expression = score.plus(lookup("slopes", 0).times(fromInteger(distance)));
  return {
    kind: "position",
    name: "alibi",
    options: {},
    build(_, { heads }) {
      const slopes = alibiSlopes(heads);
      return {
        onScore: () => [modifier("alibi", {}, expression, { slopes: tf.tensor4d(slopes, [1, heads, 1, 1]) })],
      };
    },
  };
}
