import { checkFields, checkNumber } from "@heddle/core";
import { score } from "../expression/builders.ts";
import { modifier } from "../expression/modifier.ts";
import type { AttentionModifier } from "../expression/modifier.ts";

export interface SoftCapOptions {
  /** What the scores stay within: from -cap to cap. Gemma 2 uses 50. */
  readonly cap: number;
}

/** Keeps scores within ±cap: cap * tanh(score / cap). Gemma 2, https://arxiv.org/abs/2408.00118 §2 "Logit soft-capping". */
export function softCap(options: SoftCapOptions): AttentionModifier {
  checkFields("softCap: options", options, ["cap"]);
  const { cap } = options;
  checkNumber("softCap: cap", cap, { min: 1e-6, max: 1e6 });
  return modifier("soft-cap", { cap }, score.dividedBy(cap).tanh().times(cap));
}
