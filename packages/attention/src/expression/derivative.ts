/** Derivatives of score modifiers, as trees of the same language. */
import type { NumberNode } from "./tree.ts";

/** A read of a tensor that comes with the call. */
export type LookupNode = Extract<NumberNode, { readonly op: "lookup" }>;

/** The derivative of a modified score with respect to the score. */
export function scoreDerivative(node: NumberNode): NumberNode {
  return differentiate(node, (leaf) => leaf.op === "score", new Map());
}

/** A read of a tensor and the derivative of the modified score with respect to the entry that is read. */
export interface LookupDerivative {
  readonly lookup: LookupNode;
  readonly derivative: NumberNode;
}

/**
 * The derivatives with respect to what is looked up, one for each lookup node of the tree, in the order of a walk
 * from left to right. Where two nodes read the same entry, their derivatives add up.
 */
export function lookupDerivatives(node: NumberNode): LookupDerivative[] {
  return lookupNodes(node).map((lookup) => ({
    lookup,
    derivative: differentiate(node, (leaf) => leaf === lookup, new Map()),
  }));
}

/** The lookup nodes of a tree, each once, from left to right. */
export function lookupNodes(node: NumberNode): LookupNode[] {
  const found = new Set<LookupNode>();
  const seen = new Set<NumberNode>();
  const see = (part: NumberNode): void => {
    if (seen.has(part)) return;
    seen.add(part);
    if (part.op === "lookup") found.add(part);
    else numberParts(part).forEach(see);
  };
  see(node);
  return [...found];
}

/** The numbers that a node is made of, from left to right. */
export function numberParts(node: NumberNode): readonly NumberNode[] {
  switch (node.op) {
    case "score":
    case "number":
    case "fromInteger":
    case "lookup":
      return [];
    case "negate":
    case "tanh":
    case "exp":
      return [node.operand];
    case "select":
      return [node.whenTrue, node.whenFalse];
    default:
      return [node.left, node.right];
  }
}

const zero: NumberNode = { op: "number", value: 0 };
const one: NumberNode = { op: "number", value: 1 };
const isNumber = (node: NumberNode, value: number) => node.op === "number" && node.value === value;

function add(left: NumberNode, right: NumberNode): NumberNode {
  if (isNumber(left, 0)) return right;
  return isNumber(right, 0) ? left : { op: "add", left, right };
}
function subtract(left: NumberNode, right: NumberNode): NumberNode {
  if (isNumber(right, 0)) return left;
  return isNumber(left, 0) ? negate(right) : { op: "subtract", left, right };
}
function multiply(left: NumberNode, right: NumberNode): NumberNode {
  if (isNumber(left, 0) || isNumber(right, 0)) return zero;
  if (isNumber(left, 1)) return right;
  return isNumber(right, 1) ? left : { op: "multiply", left, right };
}
function divide(left: NumberNode, right: NumberNode): NumberNode {
  return isNumber(left, 0) || isNumber(right, 1) ? left : { op: "divide", left, right };
}
function negate(operand: NumberNode): NumberNode {
  if (operand.op === "negate") return operand.operand;
  return isNumber(operand, 0) ? zero : { op: "negate", operand };
}

function differentiate(
  node: NumberNode,
  isVariable: (leaf: NumberNode) => boolean,
  known: Map<NumberNode, NumberNode>,
): NumberNode {
  const d = (part: NumberNode): NumberNode => {
    let result = known.get(part);
    if (!result) known.set(part, (result = rule(part)));
    return result;
  };
  const rule = (part: NumberNode): NumberNode => {
    switch (part.op) {
      case "score":
      case "lookup":
        return isVariable(part) ? one : zero;
      case "number":
      case "fromInteger":
        return zero;
      case "add":
        return add(d(part.left), d(part.right));
      case "subtract":
        return subtract(d(part.left), d(part.right));
      case "multiply":
        return add(multiply(d(part.left), part.right), multiply(part.left, d(part.right)));
      case "divide":
        // The quotient itself is used again: (l' - q r') / r.
        return divide(subtract(d(part.left), multiply(part, d(part.right))), part.right);
      case "negate":
        return negate(d(part.operand));
      case "tanh":
        return multiply(subtract(one, multiply(part, part)), d(part.operand));
      case "exp":
        return multiply(part, d(part.operand));
      case "select": {
        const [whenTrue, whenFalse] = [d(part.whenTrue), d(part.whenFalse)];
        if (whenTrue === whenFalse) return whenTrue;
        return { op: "select", condition: part.condition, whenTrue, whenFalse };
      }
    }
  };
  return d(node);
}
