import * as tf from "@tensorflow/tfjs-core";
import { randomStream } from "@heddle/core";
import type { ChooseTokenCall } from "@heddle/core";
import type { KernelCase } from "./test-kernel.ts";

interface Choice {
  readonly name: string;
  readonly shape: readonly [batch: number, vocabulary: number];
  readonly options?: Omit<ChooseTokenCall, "logits">;
  /** What the drawn logits, standard normal, are rounded to, so that many tie. */
  readonly step?: number;
  /** What stands at some places of the flat logits. */
  readonly replaced?: Readonly<Record<number, number>>;
}

const choices: readonly Choice[] = [
  { name: "one id", shape: [1, 1] },
  { name: "one row", shape: [1, 300] },
  { name: "rows", shape: [5, 37] },
  { name: "many ids", shape: [2, 3000] },
  { name: "ties", shape: [4, 700], step: 0.25 },
  { name: "all the same", shape: [2, 65], step: 100 },
  { name: "ids below", shape: [3, 70], options: { idsBelow: 9 } },
  { name: "huge logits", shape: [1, 9], replaced: { 3: 3e38, 4: -3e38 } },
  { name: "NaN and infinities", shape: [4, 300], replaced: { 7: NaN, 320: Infinity, 899: -Infinity } },
  { name: "NaN behind the ids allowed", shape: [2, 20], options: { idsBelow: 5 }, replaced: { 19: NaN } },
  {
    name: "a draw of each row",
    shape: [3, 300],
    options: { draw: { temperature: 1, places: [0, 0.401, 0.951] } },
  },
  {
    name: "a draw among few",
    shape: [3, 700],
    options: { draw: { temperature: 0.7, topK: 5, places: [0.1, 0.5, 0.85] } },
  },
  {
    name: "a draw among those that tie",
    shape: [2, 200],
    step: 0.5,
    options: { idsBelow: 190, draw: { temperature: 2, topK: 3, places: [0.301, 0.7003] } },
  },
  {
    name: "more asked for than there are",
    shape: [1, 9],
    options: { draw: { temperature: 1, topK: 50, places: [0.66] } },
  },
  { name: "a place near 1", shape: [1, 77], options: { draw: { temperature: 1, places: [1 - 2 ** -24] } } },
  {
    name: "a temperature near 0",
    shape: [2, 77],
    options: { draw: { temperature: 1e-6, places: [0.2, 0.999] } },
  },
  {
    name: "negative logits only",
    shape: [1, 40],
    replaced: Object.fromEntries(Array.from({ length: 40 }, (_, i) => [i, -2 - ((i * 7) % 40) / 10])),
    options: { draw: { temperature: 1, topK: 4, places: [0.6] } },
  },
];

/** Calls of `chooseTokenOperation` for the kernels of every backend; no place is at the edge between two ids. */
export const chooseTokenCases: readonly KernelCase<ChooseTokenCall>[] = choices.map(
  ({ name, shape, options, step, replaced = {} }) => ({
    name,
    make: () => {
      const values = Float32Array.from(
        randomStream({ seed: 4, path: "logits" }).normals(shape[0] * shape[1]),
        (value, i) => (i in replaced ? replaced[i]! : step ? Math.round(value / step) * step : value),
      );
      return { logits: tf.tensor(values, [...shape]), ...options };
    },
  }),
);
