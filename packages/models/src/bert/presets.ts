import type { BertOptions } from "./config.ts";

const google = { vocabularySize: 30_522, maxLength: 512, tokenTypes: 2, dropout: 0.1 } as const;

/**
 * Published sizes (https://arxiv.org/abs/1908.08962 for the small ones), with the parameters of the encoder with its
 * pooler, without the head of masked language modelling.
 */
export const bertPresets: Readonly<
  Record<"tiny" | "mini" | "small" | "medium" | "base" | "large", BertOptions>
> = {
  /** 4,385,920 parameters. */
  tiny: { ...google, width: 128, layers: 2, heads: 2 },
  /** 11,170,560 parameters. */
  mini: { ...google, width: 256, layers: 4, heads: 4 },
  /** 28,763,648 parameters. */
  small: { ...google, width: 512, layers: 4, heads: 8 },
  /** 41,373,184 parameters. */
  medium: { ...google, width: 512, layers: 8, heads: 8 },
  /** 109,482,240 parameters. */
  base: { ...google, width: 768, layers: 12, heads: 12 },
  /** 335,141,888 parameters. */
  large: { ...google, width: 1024, layers: 24, heads: 16 },
};
