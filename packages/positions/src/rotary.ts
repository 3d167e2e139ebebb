import { checkFields, checkNumber, checkOneOf, rotary as turn } from "@heddle/core";
import type { Position } from "./position.ts";

export interface RotaryOptions {
  /** Values turned together: i with i + D/2 (`half`, Llama) or 2i with 2i + 1 (`interleaved`, RoFormer). @default "half" */
  readonly pairs?: "half" | "interleaved";
  /** @default 10000 */
  readonly base?: number;
}

/** Queries and keys turned by angles that grow with the position: https://arxiv.org/abs/2104.09864 §3.2. */
export function rotary(options: RotaryOptions = {}): Position {
  checkFields("rotary: options", options, ["pairs", "base"]);
  const { pairs = "half", base = 10_000 } = options;
  checkOneOf("rotary: pairs", pairs, ["half", "interleaved"]);
  checkNumber("rotary: base", base, { min: 1 });
  return {
    kind: "position",
    name: "rotary",
    options: { pairs, base },
    build: () => ({ onQueryKey: (x, positions) => turn({ x, positions, pairs, base }) }),
  };
}
