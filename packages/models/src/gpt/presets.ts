import type { GptOptions } from "./config.ts";

const openai = { vocabularySize: 50_257, maxLength: 1024, dropout: 0.1 } as const;

/** Published sizes, with their numbers of parameters, and one for experiments. */
export const gptPresets: Readonly<
  Record<"tiny" | "gpt2" | "gpt2-medium" | "gpt2-large" | "gpt2-xl", GptOptions>
> = {
  /** For examples and tests: bytes, about 0.8 million parameters. */
  tiny: { vocabularySize: 256, maxLength: 64, width: 128, layers: 4, heads: 4 },
  /** GPT-2 "124M": 124,439,808 parameters. */
  gpt2: { ...openai, width: 768, layers: 12, heads: 12 },
  /** 354,823,168 parameters. */
  "gpt2-medium": { ...openai, width: 1024, layers: 24, heads: 16 },
  /** 774,030,080 parameters. */
  "gpt2-large": { ...openai, width: 1280, layers: 36, heads: 20 },
  /** GPT-2 "1.5B": 1,557,611,200 parameters. */
  "gpt2-xl": { ...openai, width: 1600, layers: 48, heads: 25 },
};
