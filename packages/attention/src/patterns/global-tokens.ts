import { checkFields, checkInteger, reject } from "@heddle/core";
import { isOneOf } from "../expression/heads.ts";
import { pattern } from "../expression/pattern.ts";
import type { AttentionPattern } from "../expression/tree.ts";
import { checkAttributeName } from "../expression/validate.ts";

/** Which tokens are global: one of the two. */
export type GlobalTokensOptions =
  /** Positions, the same for every example. */
  | { readonly positions: readonly number[]; readonly attribute?: undefined }
  /** Name of a token attribute, of queries and keys, that is not 0 for the global tokens of each example. */
  | { readonly attribute: string; readonly positions?: undefined };

/**
 * Global tokens are seen by all and see all: Longformer, https://arxiv.org/abs/2004.05150 §3.1 "Global Attention".
 * Joined with a local pattern by `or`. A list is short for `{ positions }`.
 */
export function globalTokens(which: readonly number[] | GlobalTokensOptions): AttentionPattern {
  const options = isList(which) ? { positions: which } : which;
  checkFields("globalTokens: options", options, ["positions", "attribute"]);
  const { positions, attribute } = options;
  if ((positions === undefined) === (attribute === undefined))
    reject("globalTokens", "have either positions or an attribute", which);
  if (attribute !== undefined) {
    checkAttributeName("globalTokens: attribute", attribute);
    return pattern("global-tokens", { attribute }, ({ query, key }) =>
      key.attribute(attribute).notEquals(0).or(query.attribute(attribute).notEquals(0)),
    );
  }
  if (!Array.isArray(positions) || positions.length === 0)
    reject("globalTokens: positions", "be a list with at least one position", positions);
  for (const [at, position] of positions.entries())
    checkInteger(`globalTokens: positions[${at}]`, position, { min: 0, max: 2 ** 20 });
  return pattern("global-tokens", { positions }, ({ query, key }) =>
    isOneOf(key, positions).or(isOneOf(query, positions)),
  );
}

function isList(which: readonly number[] | GlobalTokensOptions): which is readonly number[] {
  return Array.isArray(which);
}
