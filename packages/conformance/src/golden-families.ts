import { bert, gpt, longformer } from "@heddle/models";
import type { GoldenFamily } from "./model-golden.ts";

/** Heddle's families as their goldens want them; the notes in each golden say why. */
export const goldenFamilies: readonly GoldenFamily[] = [
  { family: gpt, skipLeadingPadding: true },
  { family: bert, heads: ["cls.predictions.bias"] },
  { family: longformer, ownPositions: true, heads: ["lm_head.bias"] },
];
