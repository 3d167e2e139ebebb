import { checkFields, checkInteger, reject } from "@heddle/core";
import { pattern } from "../expression/pattern.ts";
import type { AttentionPattern } from "../expression/tree.ts";
import { checkAttributeName } from "../expression/validate.ts";

/** Where the prefix ends: one of the two. */
export type PrefixOptions =
  /** Tokens of the prefix, the same for every example. */
  | { readonly length: number; readonly attribute?: undefined }
  /** Name of a key attribute that is not 0 for the tokens of the prefix, so that each example has its own. */
  | { readonly attribute: string; readonly length?: undefined };

/** Prefix language model: causal, and the prefix is seen by all. T5, https://arxiv.org/abs/1910.10683 §3.2.1. */
export function prefix(options: PrefixOptions): AttentionPattern {
  checkFields("prefix: options", options, ["length", "attribute"]);
  const { length, attribute } = options;
  if ((length === undefined) === (attribute === undefined))
    reject("prefix", "have either a length or an attribute", { length, attribute });
  if (attribute !== undefined) {
    checkAttributeName("prefix: attribute", attribute);
    return pattern("prefix", { attribute }, ({ query, key }) =>
      key.isAtMost(query).or(key.attribute(attribute).notEquals(0)),
    );
  }
  checkInteger("prefix: length", length, { min: 0, max: 2 ** 20 });
  return pattern("prefix", { length }, ({ query, key }) => key.isAtMost(query).or(key.isLess(length)));
}
