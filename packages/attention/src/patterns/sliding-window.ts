import { checkFields, checkInteger } from "@heddle/core";
import { pattern } from "../expression/pattern.ts";
import type { AttentionPattern } from "../expression/tree.ts";

export interface SlidingWindowOptions {
  /** Keys before the query that it sees. */
  readonly before: number;
  /** Keys after it. @default 0 */
  readonly after?: number;
}

/** Local attention: Longformer, https://arxiv.org/abs/2004.05150 §3.1. */
export function slidingWindow(options: SlidingWindowOptions): AttentionPattern {
  checkFields("slidingWindow: options", options, ["before", "after"]);
  const { before, after = 0 } = options;
  checkInteger("slidingWindow: before", before, { min: 0, max: 2 ** 20 });
  checkInteger("slidingWindow: after", after, { min: 0, max: 2 ** 20 });
  return pattern("sliding-window", { before, after }, ({ query, key }) =>
    key.minus(query).between(-before, after),
  );
}
