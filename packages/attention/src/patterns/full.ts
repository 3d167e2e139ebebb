import { literal } from "../expression/builders.ts";
import { pattern } from "../expression/pattern.ts";
import type { AttentionPattern } from "../expression/tree.ts";

/** Every query sees every key: Attention Is All You Need, https://arxiv.org/abs/1706.03762 §3.2.1. */
export function full(): AttentionPattern {
  return pattern("full", {}, () => literal(true));
}
