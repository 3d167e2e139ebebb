import { checkFields, checkInteger, checkOneOf } from "@heddle/core";
import { checkChoices, perHead } from "../expression/heads.ts";
import { pattern } from "../expression/pattern.ts";
import type { AttentionPattern } from "../expression/tree.ts";

export interface StridedOptions {
  /** Length of the local part, and distance between the keys of the strided part: the paper's l. */
  readonly stride: number;
  /** The part that each head sees. @default the union of both for all heads */
  readonly heads?: readonly ("local" | "strided")[];
  /** `"past"` is the paper's; `"both"` mirrors it for encoders. @default "past" */
  readonly direction?: "past" | "both";
}

/**
 * The last `stride` keys and every `stride`-th one: Sparse Transformer, https://arxiv.org/abs/1904.10509 §4.3
 * "strided" (heads: §5.1).
 */
export function strided(options: StridedOptions): AttentionPattern {
  checkFields("strided: options", options, ["stride", "heads", "direction"]);
  const { stride, heads, direction = "past" } = options;
  checkInteger("strided: stride", stride, { min: 1, max: 2 ** 20 });
  checkOneOf("strided: direction", direction, ["past", "both"]);
  if (heads !== undefined) checkChoices("strided: heads", heads, ["local", "strided"]);
  return pattern(
    "strided",
    { stride, heads, direction },
    ({ query, key, head }) => {
      const distance = query.minus(key);
      const local = distance.between(direction === "past" ? 0 : -stride, stride);
      const column = distance.modulo(stride).equals(0);
      const parts = { local, strided: direction === "past" ? column.and(distance.isAtLeast(0)) : column };
      return heads ? perHead(head, heads, (part) => parts[part]) : parts.local.or(parts.strided);
    },
    { heads: heads?.length },
  );
}
