/** Expressions as disjoint parts, each dense under a permutation of its own, to be merged by log-sum-exp. */
import { congruenceOf, densePermutation } from "./permutation.ts";
import type { BooleanNode, PatternShape } from "./tree.ts";

/** One part of an expression; no pair is in two parts. */
export interface ExpressionPart {
  readonly expression: BooleanNode;
  /** Positions grouped by residue modulo this make it dense; 1 leaves them in order. */
  readonly modulus: number;
}

/**
 * Splits an expression where an `or` joins parts that are dense under different permutations: disjoint parts whose
 * union is the expression, the one in order first. One part when all of it is dense under one permutation, or when
 * it cannot be split (modulus 1: in order, holes included). Of one head, or of all heads when none is given.
 */
export function disjointParts(
  expression: BooleanNode,
  shape: PatternShape,
  head?: number,
): readonly ExpressionPart[] {
  const found = [...partition(expression, shape, head)].toSorted(([a], [b]) => a - b);
  const [only, second] = found;
  if (!only || !second) return [{ expression, modulus: only?.[0] ?? 1 }];
  return found.map(([modulus, part], at) => {
    const earlier = found.slice(0, at).map(([, other]) => other);
    const meeting = earlier.filter((other) => congruenceOf(both(part, other), shape, head) !== null);
    return {
      modulus,
      expression: meeting.reduce((rest, other) => both(rest, { op: "not", operand: other }), part),
    };
  });
}

/** The expression by modulus, as a union that may overlap. Empty when it allows nothing. */
function partition(
  expression: BooleanNode,
  shape: PatternShape,
  head: number | undefined,
): Map<number, BooleanNode> {
  const parts = new Map<number, BooleanNode>();
  const add = (modulus: number, part: BooleanNode): void => {
    const known = parts.get(modulus);
    parts.set(modulus, known ? join("or", known, part) : part);
  };
  const dense = densePermutation(expression, shape, head);
  if (dense) add(dense.modulus, expression);
  else if (congruenceOf(expression, shape, head) === null) return parts;
  else if (expression.op === "or") {
    for (const operand of expression.operands)
      for (const [modulus, part] of partition(operand, shape, head)) add(modulus, part);
  } else if (expression.op === "and") {
    const split = expression.operands.find(
      (operand) => operand.op === "or" && partition(operand, shape, head).size > 1,
    );
    if (!split) add(1, expression);
    else {
      const rest: BooleanNode = {
        op: "and",
        operands: expression.operands.filter((operand) => operand !== split),
      };
      for (const [, part] of partition(split, shape, head)) {
        const joined = both(rest, part);
        if (congruenceOf(joined, shape, head) !== null)
          add(densePermutation(joined, shape, head)?.modulus ?? 1, joined);
      }
    }
  } else add(1, expression);
  return parts;
}

function both(left: BooleanNode, right: BooleanNode): BooleanNode {
  return join("and", left, right);
}

function join(op: "and" | "or", left: BooleanNode, right: BooleanNode): BooleanNode {
  const operands = [left, right].flatMap((node) => (node.op === op ? node.operands : [node]));
  return { op, operands };
}
