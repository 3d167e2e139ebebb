import * as tf from "@tensorflow/tfjs-core";
import { embedding, normal, reject, reshape, residual, tableOf } from "@heddle/core";
import type { Position } from "./position.ts";

/** One trained vector for each position, added to the embedding: BERT, GPT-2 (https://arxiv.org/abs/1705.03122 §3.1). */
export function learned(): Position {
  return {
    kind: "position",
    name: "learned",
    options: {},
    build(weights, { width, maxLength, first = 0, table }) {
      const vectors = weights.parameter(`${table}.weight`, { shape: [maxLength, width], init: normal(0.02) });
      return {
        onEmbedding(x, positions) {
          const greatest = positions.reduce((a, b) => Math.max(a, b), -1);
          if (greatest >= maxLength)
            reject(
              `${vectors.name}: sequence`,
              `be at most ${maxLength - first} tokens long, the number of positions`,
              greatest + 1 - first,
            );
          const least = positions.reduce((a, b) => Math.min(a, b), 0);
          if (least < 0) reject(`${vectors.name}: positions`, "be >= 0", least);
          const rows = embedding(tableOf(vectors), tf.tensor1d(positions, "int32"));
          const [, length] = x.shape as [number, number, number];
          return residual(x, reshape(rows, [positions.length / length, length, width]));
        },
      };
    },
  };
}
