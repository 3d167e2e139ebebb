import { checkFields } from "@heddle/core";
import { pattern } from "../expression/pattern.ts";
import type { AttentionPattern } from "../expression/tree.ts";
import { checkAttributeName } from "../expression/validate.ts";

export interface DocumentsOptions {
  /** Name of the token attribute, of queries and keys, that numbers the documents. @default "document" */
  readonly attribute?: string;
}

/**
 * Packed documents do not see each other: Krell et al., "Efficient Sequence Packing without Cross-contamination",
 * https://arxiv.org/abs/2107.02027 §3.2.
 */
export function documents(options: DocumentsOptions = {}): AttentionPattern {
  checkFields("documents: options", options, ["attribute"]);
  const { attribute = "document" } = options;
  checkAttributeName("documents: attribute", attribute);
  return pattern("documents", { attribute }, ({ query, key }) =>
    query.attribute(attribute).equals(key.attribute(attribute)),
  );
}
