import type { PatternFactories } from "./expression/pattern-json.ts";
import { bigBird } from "./patterns/big-bird.ts";
import { blockTable } from "./patterns/block-table.ts";
import { causal } from "./patterns/causal.ts";
import { dilated } from "./patterns/dilated.ts";
import { documents } from "./patterns/documents.ts";
import { fixed } from "./patterns/fixed.ts";
import { full } from "./patterns/full.ts";
import { globalTokens } from "./patterns/global-tokens.ts";
import { padding } from "./patterns/padding.ts";
import { prefix } from "./patterns/prefix.ts";
import { slidingWindow } from "./patterns/sliding-window.ts";
import { strided } from "./patterns/strided.ts";

/** Heddle's own patterns by their names in JSON, for `patternFromJSON` and registries. */
export const standardPatterns: PatternFactories = {
  "big-bird": bigBird,
  "block-table": blockTable,
  causal,
  dilated,
  documents,
  fixed,
  full,
  "global-tokens": globalTokens,
  padding,
  prefix,
  "sliding-window": slidingWindow,
  strided,
};
