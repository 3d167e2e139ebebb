import type { LongformerOptions } from "./config.ts";

const allenai = {
  vocabularySize: 50_265,
  maxLength: 4096,
  tokenTypes: 1,
  dropout: 0.1,
  window: 512,
  padId: 1,
} as const;

/** Published sizes, with the parameters of the encoder with its pooler, without the head. */
export const longformerPresets: Readonly<Record<"base" | "large", LongformerOptions>> = {
  /** `allenai/longformer-base-4096`: 148,659,456 parameters. */
  base: { ...allenai, width: 768, layers: 12, heads: 12 },
  /** `allenai/longformer-large-4096`: 434,600,960 parameters. */
  large: { ...allenai, width: 1024, layers: 24, heads: 16 },
};
