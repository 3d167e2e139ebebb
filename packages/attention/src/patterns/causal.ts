import { pattern } from "../expression/pattern.ts";
import type { AttentionPattern } from "../expression/tree.ts";

/** A query sees itself and what is before it: Attention Is All You Need, https://arxiv.org/abs/1706.03762 §3.2.3. */
export function causal(): AttentionPattern {
  return pattern("causal", {}, ({ query, key }) => key.isAtMost(query));
}
