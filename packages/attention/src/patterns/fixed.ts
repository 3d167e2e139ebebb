import { checkFields, checkInteger, checkOneOf } from "@heddle/core";
import { checkChoices, perHead } from "../expression/heads.ts";
import { pattern } from "../expression/pattern.ts";
import type { AttentionPattern } from "../expression/tree.ts";

export interface FixedOptions {
  /** Length of a block: the paper's l. */
  readonly stride: number;
  /** Keys at the end of each block that all later queries see: the paper's c, from 1 to `stride`. */
  readonly summary: number;
  /** The part that each head sees. @default the union of both for all heads */
  readonly heads?: readonly ("local" | "summary")[];
  /** `"past"` is the paper's; `"both"` lets queries see later keys too, for encoders. @default "past" */
  readonly direction?: "past" | "both";
}

/**
 * The query's own block and the last keys of every block: Sparse Transformer, https://arxiv.org/abs/1904.10509
 * §4.3 "fixed" (heads: §5.1).
 */
export function fixed(options: FixedOptions): AttentionPattern {
  checkFields("fixed: options", options, ["stride", "summary", "heads", "direction"]);
  const { stride, summary, heads, direction = "past" } = options;
  checkInteger("fixed: stride", stride, { min: 1, max: 2 ** 20 });
  checkInteger("fixed: summary", summary, { min: 1, max: stride });
  checkOneOf("fixed: direction", direction, ["past", "both"]);
  if (heads !== undefined) checkChoices("fixed: heads", heads, ["local", "summary"]);
  return pattern(
    "fixed",
    { stride, summary, heads, direction },
    ({ query, key, head }) => {
      const parts = {
        local: query.dividedBy(stride).equals(key.dividedBy(stride)),
        summary: key.modulo(stride).isAtLeast(stride - summary),
      };
      const seen = heads ? perHead(head, heads, (part) => parts[part]) : parts.local.or(parts.summary);
      return direction === "past" ? key.isAtMost(query).and(seen) : seen;
    },
    { heads: heads?.length },
  );
}
