/** A model small enough to train in a test: each token's embedding, normalised, gives the logits of the next. */
import * as tf from "@tensorflow/tfjs-core";
import { saveCheckpoint } from "@heddle/checkpoints";
import { createWeights, dropout, embedding, layerNorm, linear, normal, ones } from "@heddle/core";
import type { Parameter } from "@heddle/core";
import type { TokenRows } from "./token-windows.ts";
import type { Trainable } from "./trainable.ts";

export const VOCABULARY = 7;
const WIDTH = 8;

/** The model, with what tests look at. */
export interface Bigram extends Trainable<TokenRows> {
  parameter(name: string): Parameter;
  /** All values of all parameters. */
  values(): Promise<number[]>;
  dispose(): void;
}

/** `unused.weight` is a parameter that the logits do not depend on. */
export function bigram({ seed = 1, rate = 0 }: { seed?: number; rate?: number } = {}): Bigram {
  const weights = createWeights({ seed });
  const table = weights.parameter("wte.weight", { shape: [VOCABULARY, WIDTH], init: normal(0.5) });
  const scale = weights.parameter("ln.weight", { shape: [WIDTH], init: ones });
  const shift = weights.parameter("ln.bias", { shape: [WIDTH] });
  const weight = weights.parameter("head.weight", { shape: [VOCABULARY, WIDTH], init: normal(0.5) });
  const bias = weights.parameter("head.bias", { shape: [VOCABULARY] });
  weights.parameter("unused.weight", { shape: [2, 2] });
  const parameters = [...weights.declared.values()];
  for (const parameter of parameters) parameter.tensor();
  return {
    parameters,
    parameter: (name) => weights.all.get(name)!,
    async values() {
      const all: number[] = [];
      for (const parameter of parameters) all.push(...(await parameter.tensor().data()));
      return all;
    },
    forward({ ids }, { training } = {}) {
      const logits = tf.tidy(() => {
        const rows = ids.map((row) => [...row]);
        const x = embedding(table.tensor(), tf.tensor2d(rows, [rows.length, rows[0]!.length], "int32"));
        const normed = layerNorm({ x, weight: scale.tensor(), bias: shift.tensor() });
        const kept = training ? dropout({ x: normed, rate, address: { ...training, path: "drop" } }) : normed;
        return linear({ x: kept, weight: weight.tensor(), bias: bias.tensor() });
      });
      return { logits, dispose: () => logits.dispose() };
    },
    save: (location, { files, metadata }) =>
      saveCheckpoint(location, {
        config: {},
        // As Hugging Face's names: a prefix for all but the head.
        tensors: parameters.map(({ name, shape, tensor }) => ({
          name: name.startsWith("head.") ? name : `body.${name}`,
          dtype: "F32",
          shape: [...shape],
          values: async () => (await tensor().data()) as Float32Array,
        })),
        files,
        metadata,
      }),
    dispose: () => weights.dispose(),
  };
}

/** A text of token ids whose next token follows from the last but for some noise. */
export const TEXT: Int32Array = Int32Array.from({ length: 400 }, (_, i) =>
  i % 5 === 4 ? (i * i) % 7 : i % 5,
);
