/**
 * Checks of a whole tree before anything runs it: node by node, and that no integer can leave int32 at the
 * greatest length, by interval arithmetic.
 */
import { checkInteger, checkNumber, reject } from "@heddle/core";
import { checkTable } from "./table.ts";
import { attributeLimit, attributeNameRule, children, walk } from "./tree.ts";
import type { ExpressionNode, IntegerBinaryOp, IntegerNode, VariableName } from "./tree.ts";

/** Greatest number of keys or queries that an expression is checked for unless said otherwise: 2^20. */
export const defaultGreatestLength: number = 2 ** 20;

/** Greatest nesting of a tree. */
export const greatestDepth = 256;

/** Greatest number of nodes of a tree, shared ones counted as often as they are used. */
export const greatestNodes = 100_000;

/** Bounds within which an expression is checked. */
export interface ExpressionBounds {
  /** Greatest queryLength and keyLength. @default 2^20 */
  readonly greatestLength?: number;
  /** Number of heads. @default 1024 */
  readonly heads?: number;
}

/** Checks the name of a token attribute or of a looked-up tensor. */
export function checkAttributeName(where: string, name: unknown): asserts name is string {
  if (typeof name !== "string" || !attributeNameRule.test(name))
    reject(where, "be letters, digits, _ and -, starting with a letter, 64 at most", name);
}

interface Interval {
  readonly low: number;
  readonly high: number;
}

const int32: Interval = { low: -(2 ** 31), high: 2 ** 31 - 1 };

/**
 * Checks a tree: depth, size, constants, names, divisors, tables, and that no sum, difference or product can leave
 * int32 at the greatest length (attributes count as ±2^24). Throws HeddleError.
 */
export function checkExpression(where: string, root: ExpressionNode, bounds: ExpressionBounds = {}): void {
  const { greatestLength = defaultGreatestLength, heads = 1024 } = bounds;
  checkInteger(`${where}: greatestLength`, greatestLength, { min: 1, max: 2 ** 30 });
  checkInteger(`${where}: heads`, heads, { min: 1, max: 2 ** 16 });
  measure(where, root, 1, new Map());
  const position = { low: 0, high: greatestLength - 1 };
  const length = { low: 0, high: greatestLength };
  const variables: Record<VariableName, Interval> = {
    query: position,
    key: position,
    head: { low: 0, high: heads - 1 },
    queryLength: length,
    keyLength: length,
  };
  const intervals = new Map<IntegerNode, Interval>();
  const at = (node: IntegerNode): Interval => {
    const known = intervals.get(node);
    if (known) return known;
    const found = compute(node);
    const rule = `stay within int32 up to length ${greatestLength}`;
    if (found.low < int32.low || found.high > int32.high)
      reject(`${where}: ${node.op}`, rule, `${found.low} to ${found.high}`);
    intervals.set(node, found);
    return found;
  };
  const compute = (node: IntegerNode): Interval => {
    switch (node.op) {
      case "constant":
        return { low: node.value, high: node.value };
      case "variable":
        return variables[node.name];
      case "attribute":
        return { low: -attributeLimit, high: attributeLimit };
      case "divide":
        return floorDivide(at(node.left), node.divisor);
      case "modulo":
        return floorModulo(at(node.left), node.divisor);
      default:
        return pair(node.op, at(node.left), at(node.right));
    }
  };
  walk(root, (node) => checkLeaf(where, node));
  walk(root, (node) => integerParts(node).forEach(at));
}

interface Size {
  readonly nodes: number;
  readonly height: number;
}

/** Size and height of a tree; a shared part is measured once and counted each time. */
function measure(where: string, node: ExpressionNode, depth: number, known: Map<ExpressionNode, Size>): Size {
  let size = known.get(node);
  if (!size) {
    if (depth > greatestDepth) reject(where, `be nested at most ${greatestDepth} deep`, `${depth} or more`);
    let [nodes, height] = [1, 0];
    for (const child of children(node)) {
      const part = measure(where, child, depth + 1, known);
      nodes += part.nodes;
      height = Math.max(height, part.height);
      if (nodes > greatestNodes) reject(where, `have at most ${greatestNodes} nodes`, `${nodes} or more`);
    }
    size = { nodes, height: height + 1 };
    known.set(node, size);
  }
  if (depth + size.height - 1 > greatestDepth)
    reject(where, `be nested at most ${greatestDepth} deep`, depth + size.height - 1);
  return size;
}

/** The integers that a boolean or a number compares, indexes or converts. */
function integerParts(node: ExpressionNode): readonly IntegerNode[] {
  switch (node.op) {
    case "equal":
    case "less":
    case "lessOrEqual":
      return [node.left, node.right];
    case "table":
      return node.table.heads === 1 ? [node.row, node.column] : [node.head, node.row, node.column];
    case "fromInteger":
      return [node.operand];
    case "lookup":
      return [node.index];
    default:
      return [];
  }
}

function checkLeaf(where: string, node: ExpressionNode): void {
  if (node.op === "constant")
    checkInteger(`${where}: constant`, node.value, { min: int32.low, max: int32.high });
  else if (node.op === "number") {
    checkNumber(`${where}: number`, node.value);
    if (Math.fround(node.value) !== node.value) reject(`${where}: number`, "be a float32", node.value);
  } else if (node.op === "modulo" || (node.op === "divide" && "divisor" in node))
    checkInteger(`${where}: divisor`, node.divisor, { min: 1, max: int32.high });
  else if (node.op === "attribute") checkAttributeName(`${where}: attribute`, node.name);
  else if (node.op === "lookup") checkAttributeName(`${where}: lookup`, node.table);
  else if (node.op === "table") checkTable(`${where}: table`, node.table);
}

function floorDivide({ low, high }: Interval, divisor: number): Interval {
  return { low: Math.floor(low / divisor), high: Math.floor(high / divisor) };
}

function floorModulo({ low, high }: Interval, divisor: number): Interval {
  const floor = Math.floor(low / divisor) * divisor;
  const within = high < floor + divisor;
  return within ? { low: low - floor, high: high - floor } : { low: 0, high: divisor - 1 };
}

function pair(op: IntegerBinaryOp, a: Interval, b: Interval): Interval {
  switch (op) {
    case "add":
      return { low: a.low + b.low, high: a.high + b.high };
    case "subtract":
      return { low: a.low - b.high, high: a.high - b.low };
    case "minimum":
      return { low: Math.min(a.low, b.low), high: Math.min(a.high, b.high) };
    case "maximum":
      return { low: Math.max(a.low, b.low), high: Math.max(a.high, b.high) };
    case "multiply": {
      const products = [a.low * b.low, a.low * b.high, a.high * b.low, a.high * b.high];
      return { low: Math.min(...products), high: Math.max(...products) };
    }
  }
}
