/** Score modifiers: a named expression over the attention score. */
import { reject } from "@heddle/core";
import type { NumberExpression } from "./builders.ts";
import type { NumberNode } from "./tree.ts";
import { checkExpression } from "./validate.ts";

/** A change of the attention scores before the softmax. Made by `modifier`. */
export interface AttentionModifier<Tables extends object = Readonly<Record<string, unknown>>> {
  readonly kind: "modifier";
  readonly name: string;
  /** With `name`, the JSON of the modifier. */
  readonly options: Readonly<Record<string, unknown>>;
  /** The modified score. */
  readonly score: NumberNode;
  /** Tensors [B|1, H|1, Lq|1, n] by the names that `score` looks up, where it looks up any. */
  readonly tables?: Tables;
}

/** Makes a score modifier; its expression is checked like a pattern's. */
export function modifier<Tables extends object = Readonly<Record<string, unknown>>>(
  name: string,
  options: Readonly<Record<string, unknown>>,
  expression: NumberExpression,
  tables?: Tables,
): AttentionModifier<Tables> {
  if (typeof name !== "string" || name === "") reject("modifier: name", "be a non-empty string", name);
  checkExpression(name, expression.node);
  const value = {
    kind: "modifier",
    name,
    options: Object.freeze({ ...options }),
    score: expression.node,
  } as const;
  return Object.freeze(tables ? { ...value, tables } : value);
}
