import {
  bigBird,
  blockTable,
  causal,
  dilated,
  documents,
  fixed,
  full,
  globalTokens,
  padding,
  prefix,
  slidingWindow,
  strided,
} from "@heddle/attention";
import type { AttentionPattern } from "@heddle/attention";

/** Every named pattern, at sizes that leave something out among a dozen tokens; made for four heads. */
export const patternSamples: readonly AttentionPattern[] = [
  full(),
  causal(),
  prefix({ length: 3 }),
  prefix({ attribute: "global" }),
  slidingWindow({ before: 2 }),
  slidingWindow({ before: 1, after: 2 }),
  dilated({ window: { before: 2, after: 1 }, dilation: [1, 2, 3, 2] }),
  globalTokens([0, 5]),
  globalTokens({ attribute: "global" }),
  strided({ stride: 3 }),
  strided({ stride: 3, heads: ["local", "strided", "local", "strided"], direction: "both" }),
  fixed({ stride: 4, summary: 1 }),
  blockTable({ block: 3, table: ["#..#", ".##.", "##..", "...#"] }),
  bigBird({ block: 2, window: 1, global: 1, random: 1, seed: 5 }),
  bigBird({ block: 2, window: 1, global: 1, random: 1, seed: 5, direction: "past" }),
  documents(),
  padding(),
];
