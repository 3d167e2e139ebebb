/** The truth: a plain walk of the tree for one pair, against which everything else is tested. */
import { reject } from "@heddle/core";
import type {
  AttentionPattern,
  BooleanNode,
  BooleanTable,
  IntegerNode,
  NumberNode,
  VariableName,
} from "./tree.ts";

/** Token attributes of one pair, by name. */
export interface PairAttributes {
  readonly query?: Readonly<Record<string, number>>;
  readonly key?: Readonly<Record<string, number>>;
}

/** One pair of a query and a key. */
export interface PairContext {
  /** Absolute position of the query. */
  readonly query: number;
  readonly key: number;
  /** @default 0 */
  readonly head?: number;
  readonly queryLength: number;
  readonly keyLength: number;
  /** What the tree reads of the two tokens. */
  readonly attributes?: PairAttributes;
}

/** One pair with its score, for score modifiers. */
export interface ScoreContext extends PairContext {
  readonly score: number;
  /** The row of each looked-up tensor that serves this batch row, head and query. */
  readonly lookups?: Readonly<Record<string, ArrayLike<number>>>;
}

/** Whether a pair is allowed, by an expression or by a pattern among `heads` heads (1 unless given). */
export function allows(
  rule: BooleanNode | AttentionPattern,
  context: PairContext & { readonly heads?: number },
): boolean {
  if (!("kind" in rule)) return evaluateBoolean(rule, context);
  const { queryLength, keyLength, head = 0, heads = head + 1 } = context;
  return evaluateBoolean(rule.resolve({ heads, queryLength, keyLength }), context);
}

/** Value of an integer expression. */
export function evaluateInteger(node: IntegerNode, context: PairContext): number {
  switch (node.op) {
    case "constant":
      return node.value;
    case "variable":
      return variable(node.name, context);
    case "attribute":
      return (
        context.attributes?.[node.of]?.[node.name] ??
        reject(`attributes.${node.of}.${node.name}`, "be given, since the expression reads it", undefined)
      );
    case "divide":
      return Math.floor(evaluateInteger(node.left, context) / node.divisor);
    case "modulo": {
      const left = evaluateInteger(node.left, context);
      return left - Math.floor(left / node.divisor) * node.divisor;
    }
    default: {
      const left = evaluateInteger(node.left, context);
      const right = evaluateInteger(node.right, context);
      switch (node.op) {
        case "add":
          return left + right;
        case "subtract":
          return left - right;
        case "multiply":
          return Math.imul(left, right);
        case "minimum":
          return Math.min(left, right);
        case "maximum":
          return Math.max(left, right);
      }
    }
  }
}

/** Value of a boolean expression. */
export function evaluateBoolean(node: BooleanNode, context: PairContext): boolean {
  switch (node.op) {
    case "literal":
      return node.value;
    case "equal":
      return evaluateInteger(node.left, context) === evaluateInteger(node.right, context);
    case "less":
      return evaluateInteger(node.left, context) < evaluateInteger(node.right, context);
    case "lessOrEqual":
      return evaluateInteger(node.left, context) <= evaluateInteger(node.right, context);
    case "and":
      return node.operands.every((operand) => evaluateBoolean(operand, context));
    case "or":
      return node.operands.some((operand) => evaluateBoolean(operand, context));
    case "not":
      return !evaluateBoolean(node.operand, context);
    case "table": {
      const head = node.table.heads === 1 ? 0 : evaluateInteger(node.head, context);
      const row = evaluateInteger(node.row, context);
      return tableEntry(node.table, head, row, evaluateInteger(node.column, context));
    }
  }
}

/** An entry of a table; false where an index is outside it. */
export function tableEntry(
  { heads, rows, columns, bits }: BooleanTable,
  head: number,
  row: number,
  column: number,
): boolean {
  if (head < 0 || head >= heads || row < 0 || row >= rows || column < 0 || column >= columns) return false;
  return bits[(head * rows + row) * columns + column] === 1;
}

/** Value of a modified score, in double precision. */
export function evaluateNumber(node: NumberNode, context: ScoreContext): number {
  switch (node.op) {
    case "score":
      return context.score;
    case "number":
      return node.value;
    case "fromInteger":
      return evaluateInteger(node.operand, context);
    case "add":
      return evaluateNumber(node.left, context) + evaluateNumber(node.right, context);
    case "subtract":
      return evaluateNumber(node.left, context) - evaluateNumber(node.right, context);
    case "multiply":
      return evaluateNumber(node.left, context) * evaluateNumber(node.right, context);
    case "divide":
      return evaluateNumber(node.left, context) / evaluateNumber(node.right, context);
    case "negate":
      return -evaluateNumber(node.operand, context);
    case "tanh":
      return Math.tanh(evaluateNumber(node.operand, context));
    case "exp":
      return Math.exp(evaluateNumber(node.operand, context));
    case "select":
      return evaluateNumber(
        evaluateBoolean(node.condition, context) ? node.whenTrue : node.whenFalse,
        context,
      );
    case "lookup": {
      const table = context.lookups?.[node.table];
      if (!table) reject(`lookups.${node.table}`, "be given, since the expression reads it", undefined);
      return table[evaluateInteger(node.index, context)] ?? 0;
    }
  }
}

function variable(name: VariableName, context: PairContext): number {
  return name === "head" ? (context.head ?? 0) : context[name];
}
