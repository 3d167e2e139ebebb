/**
 * The attention language: small immutable trees over integers, booleans and scores.
 *
 * Positions are absolute: `query` is the row plus the call's queryOffset, `key` the key's position;
 * `queryLength` is queryOffset plus the number of rows, `keyLength` the number of keys. Integer arithmetic is
 * int32; divisors are positive constants, and division and modulo floor. B batch, H heads, L length.
 */

/** What an integer can be read from besides constants and token attributes. */
export type VariableName = "query" | "key" | "head" | "queryLength" | "keyLength";

/** Which side of the pair a token attribute is read from. */
export type AttributeSide = "query" | "key";

/** Operations on two integers. */
export type IntegerBinaryOp = "add" | "subtract" | "multiply" | "minimum" | "maximum";

/** An int32 expression. */
export type IntegerNode =
  | { readonly op: "constant"; readonly value: number }
  | { readonly op: "variable"; readonly name: VariableName }
  /** An integer per (batch row, token), given with the call; within ±{@link attributeLimit}. */
  | { readonly op: "attribute"; readonly of: AttributeSide; readonly name: string }
  | { readonly op: IntegerBinaryOp; readonly left: IntegerNode; readonly right: IntegerNode }
  /** Floor division and floor modulo by a positive constant: the modulo is never negative. */
  | { readonly op: "divide" | "modulo"; readonly left: IntegerNode; readonly divisor: number };

/** Comparisons of two integers; the builders make the others of them. */
export type ComparisonOp = "equal" | "less" | "lessOrEqual";

/** Whether a pair (query, key) of one head is allowed. */
export type BooleanNode =
  | { readonly op: "literal"; readonly value: boolean }
  | { readonly op: ComparisonOp; readonly left: IntegerNode; readonly right: IntegerNode }
  | { readonly op: "and" | "or"; readonly operands: readonly BooleanNode[] }
  | { readonly op: "not"; readonly operand: BooleanNode }
  /** An entry of a table; false where an index is outside it. With one head in the table, `head` is not used. */
  | {
      readonly op: "table";
      readonly table: BooleanTable;
      readonly head: IntegerNode;
      readonly row: IntegerNode;
      readonly column: IntegerNode;
    };

/** Booleans [heads, rows, columns], one byte of 0 or 1 an entry; `heads` 1 serves every head. Not to be written to. */
export interface BooleanTable {
  readonly heads: number;
  readonly rows: number;
  readonly columns: number;
  readonly bits: Uint8Array;
}

/** Operations on two numbers. */
export type NumberBinaryOp = "add" | "subtract" | "multiply" | "divide";

/** Operations on one number. */
export type NumberUnaryOp = "negate" | "tanh" | "exp";

/** A modified attention score (float32), before the softmax. */
export type NumberNode =
  /** The score as it comes: scale times the product of query and key. */
  | { readonly op: "score" }
  | { readonly op: "number"; readonly value: number }
  | { readonly op: "fromInteger"; readonly operand: IntegerNode }
  | { readonly op: NumberBinaryOp; readonly left: NumberNode; readonly right: NumberNode }
  | { readonly op: NumberUnaryOp; readonly operand: NumberNode }
  | {
      readonly op: "select";
      readonly condition: BooleanNode;
      readonly whenTrue: NumberNode;
      readonly whenFalse: NumberNode;
    }
  /** Entry `index` of a tensor [B|1, H|1, Lq|1, n] that comes with the call; 0 where the index is outside it. */
  | { readonly op: "lookup"; readonly table: string; readonly index: IntegerNode };

/** Any node of the language. */
export type ExpressionNode = IntegerNode | BooleanNode | NumberNode;

/** Greatest absolute value of a token attribute: 2^24. */
export const attributeLimit: number = 2 ** 24;

/** What names of attributes and looked-up tensors look like. */
export const attributeNameRule: RegExp = /^[A-Za-z][\w-]{0,63}$/;

/** The shape of one call, as far as a pattern may know it. */
export interface PatternShape {
  readonly heads: number;
  /** queryOffset plus the number of query rows. */
  readonly queryLength: number;
  readonly keyLength: number;
}

/** Which query-key pairs an attention call computes. Made by `pattern`. */
export interface AttentionPattern {
  readonly kind: "pattern";
  readonly name: string;
  /** With `name`, the JSON of the pattern. */
  readonly options: Readonly<Record<string, unknown>>;
  /** The expression at one shape; the same object for the same shape (a small cache). */
  resolve(shape: PatternShape): BooleanNode;
  /**
   * Whether a pair is allowed or not whatever the lengths are: needed to decode with a cache. False when the tree
   * reads a length or its tables depend on one.
   */
  readonly prefixStable: boolean;
  /** Greatest queryLength and keyLength; longer shapes are refused. @default 2^20 */
  readonly greatestLength?: number;
}

/** The parts of a node, from left to right. */
export function children(node: ExpressionNode): readonly ExpressionNode[] {
  switch (node.op) {
    case "constant":
    case "variable":
    case "attribute":
    case "literal":
    case "score":
    case "number":
      return [];
    case "and":
    case "or":
      return node.operands;
    case "not":
    case "fromInteger":
    case "negate":
    case "tanh":
    case "exp":
      return [node.operand];
    case "table":
      return node.table.heads === 1 ? [node.row, node.column] : [node.head, node.row, node.column];
    case "select":
      return [node.condition, node.whenTrue, node.whenFalse];
    case "lookup":
      return [node.index];
    case "modulo":
      return [node.left];
    case "divide":
      return "divisor" in node ? [node.left] : [node.left, node.right];
    default:
      return [node.left, node.right];
  }
}

/** Calls `see` for a node and everything below it, each shared node once. */
export function walk(node: ExpressionNode, see: (node: ExpressionNode) => void): void {
  const seen = new Set<ExpressionNode>();
  const stack: ExpressionNode[] = [node];
  for (let next = stack.pop(); next; next = stack.pop()) {
    if (seen.has(next)) continue;
    seen.add(next);
    see(next);
    stack.push(...children(next));
  }
}

/** What a tree reads, which tells what its value can depend on. */
export interface Reads {
  readonly variables: ReadonlySet<VariableName>;
  /** Attribute names read from the query's and from the key's side. */
  readonly attributes: { readonly query: ReadonlySet<string>; readonly key: ReadonlySet<string> };
  readonly tables: readonly BooleanTable[];
  /** Names of the tensors that a score modifier looks up. */
  readonly lookups: ReadonlySet<string>;
}

/** What a tree reads; a table of one head does not count its head index. Tables in the order of a fixed walk. */
export function reads(node: ExpressionNode): Reads {
  const variables = new Set<VariableName>();
  const attributes = { query: new Set<string>(), key: new Set<string>() };
  const tables = new Set<BooleanTable>();
  const lookups = new Set<string>();
  walk(node, (part) => {
    if (part.op === "variable") variables.add(part.name);
    else if (part.op === "attribute") attributes[part.of].add(part.name);
    else if (part.op === "table") tables.add(part.table);
    else if (part.op === "lookup") lookups.add(part.table);
  });
  return { variables, attributes, tables: [...tables], lookups };
}

/** Whether a tree reads a length, so that its value for a pair changes while a cache grows. */
export function dependsOnLength(node: ExpressionNode): boolean {
  const { variables } = reads(node);
  return variables.has("queryLength") || variables.has("keyLength");
}
