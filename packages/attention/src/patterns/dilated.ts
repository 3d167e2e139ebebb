import { checkFields, checkInteger, reject } from "@heddle/core";
import { perHead } from "../expression/heads.ts";
import { pattern } from "../expression/pattern.ts";
import type { AttentionPattern } from "../expression/tree.ts";
import type { SlidingWindowOptions } from "./sliding-window.ts";

export interface DilatedOptions {
  /** Keys seen before and after the query, counted in steps of the dilation. */
  readonly window: SlidingWindowOptions;
  /** Distance between two seen keys: one number, or one a head. 1 is a sliding window. */
  readonly dilation: number | readonly number[];
}

/** Sliding window with gaps: Longformer, https://arxiv.org/abs/2004.05150 §3.1 "Dilated Sliding Window". */
export function dilated(options: DilatedOptions): AttentionPattern {
  checkFields("dilated: options", options, ["window", "dilation"]);
  const { window, dilation } = options;
  checkFields("dilated: window", window, ["before", "after"]);
  const { before, after = 0 } = window;
  checkInteger("dilated: window.before", before, { min: 0, max: 2 ** 20 });
  checkInteger("dilated: window.after", after, { min: 0, max: 2 ** 20 });
  const dilations = typeof dilation === "number" ? [dilation] : dilation;
  if (!Array.isArray(dilations) || dilations.length === 0)
    reject("dilated: dilation", "be an integer >= 1 or one a head", dilation);
  for (const [head, step] of dilations.entries())
    checkInteger(`dilated: dilation${dilations === dilation ? `[${head}]` : ""}`, step, {
      min: 1,
      max: 2 ** 10,
    });
  return pattern(
    "dilated",
    { window: { before, after }, dilation },
    ({ query, key, head }) =>
      perHead(head, dilations, (step) => {
        const distance = key.minus(query);
        const inWindow = distance.between(-before * step, after * step);
        return step === 1 ? inWindow : inWindow.and(distance.modulo(step).equals(0));
      }),
    { heads: typeof dilation === "number" ? undefined : dilation.length },
  );
}
