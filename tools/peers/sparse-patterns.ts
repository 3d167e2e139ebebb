/** Sparse attention patterns by the names under which they are measured. */
import { bigBird, dilated, slidingWindow, strided } from "@heddle/attention";
import type { AttentionPattern } from "@heddle/attention";

export const sparsePatterns = {
  "window 256 each side": slidingWindow({ before: 256, after: 256 }),
  "BigBird, block 64, 3 random": bigBird({ block: 64, window: 3, global: 2, random: 3, seed: 1 }),
  "dilated 4, 64 each side": dilated({ window: { before: 64, after: 64 }, dilation: 4 }),
  "strided 64": strided({ stride: 64 }),
} as const satisfies Readonly<Record<string, AttentionPattern>>;

export type SparsePattern = keyof typeof sparsePatterns;
