/**
 * The fluent layer over the expression tree: `query.minus(key).modulo(3).equals(0)`.
 *
 * Each value wraps one immutable node; every method returns a new one.
 */
import { checkInteger, checkNumber, reject } from "@heddle/core";
import { checkTable } from "./table.ts";
import type {
  AttributeSide,
  BooleanNode,
  BooleanTable,
  ComparisonOp,
  IntegerBinaryOp,
  IntegerNode,
  NumberBinaryOp,
  NumberNode,
  NumberUnaryOp,
  VariableName,
} from "./tree.ts";
import { checkAttributeName } from "./validate.ts";

/** An integer expression or an int32 constant. */
export type IntegerLike = IntegerExpression | number;
/** A number expression or a finite float32 constant. */
export type NumberLike = NumberExpression | number;

const greatestInteger = 2 ** 31 - 1;

function integerNode(value: IntegerLike): IntegerNode {
  if (typeof value === "number") return constant(value).node;
  return value?.node ?? reject("expression", "be an integer expression or an int32 constant", value);
}

function numberNode(value: NumberLike): NumberNode {
  if (typeof value === "number") return number(value).node;
  return value?.node ?? reject("expression", "be a number expression or a finite constant", value);
}

/** An int32 expression. Division and modulo floor, and take positive constants only. */
export class IntegerExpression {
  readonly node: IntegerNode;

  constructor(node: IntegerNode) {
    this.node = node;
  }

  plus(other: IntegerLike): IntegerExpression {
    return this.#with("add", other);
  }
  minus(other: IntegerLike): IntegerExpression {
    return this.#with("subtract", other);
  }
  times(other: IntegerLike): IntegerExpression {
    return this.#with("multiply", other);
  }
  minimum(other: IntegerLike): IntegerExpression {
    return this.#with("minimum", other);
  }
  maximum(other: IntegerLike): IntegerExpression {
    return this.#with("maximum", other);
  }
  /** Floor of the quotient: `constant(-1).dividedBy(3)` is -1. */
  dividedBy(divisor: number): IntegerExpression {
    checkInteger("dividedBy: divisor", divisor, { min: 1, max: greatestInteger });
    return new IntegerExpression({ op: "divide", left: this.node, divisor });
  }
  /** What floor division leaves, never negative: `constant(-1).modulo(3)` is 2. */
  modulo(divisor: number): IntegerExpression {
    checkInteger("modulo: divisor", divisor, { min: 1, max: greatestInteger });
    return new IntegerExpression({ op: "modulo", left: this.node, divisor });
  }

  equals(other: IntegerLike): BooleanExpression {
    return this.#compare("equal", other);
  }
  notEquals(other: IntegerLike): BooleanExpression {
    return this.equals(other).not();
  }
  isLess(other: IntegerLike): BooleanExpression {
    return this.#compare("less", other);
  }
  isAtMost(other: IntegerLike): BooleanExpression {
    return this.#compare("lessOrEqual", other);
  }
  isGreater(other: IntegerLike): BooleanExpression {
    return new BooleanExpression({ op: "less", left: integerNode(other), right: this.node });
  }
  isAtLeast(other: IntegerLike): BooleanExpression {
    return new BooleanExpression({ op: "lessOrEqual", left: integerNode(other), right: this.node });
  }
  /** At least `low` and at most `high`, both inclusive. */
  between(low: IntegerLike, high: IntegerLike): BooleanExpression {
    return this.isAtLeast(low).and(this.isAtMost(high));
  }

  #with(op: IntegerBinaryOp, other: IntegerLike): IntegerExpression {
    return new IntegerExpression({ op, left: this.node, right: integerNode(other) });
  }
  #compare(op: ComparisonOp, other: IntegerLike): BooleanExpression {
    return new BooleanExpression({ op, left: this.node, right: integerNode(other) });
  }
}

/** The position of the query or of the key, from which token attributes are read too. */
export class TokenExpression extends IntegerExpression {
  readonly #side: AttributeSide;

  constructor(side: AttributeSide) {
    super({ op: "variable", name: side });
    this.#side = side;
  }

  /** The integer that the call gives to this token under a name. */
  attribute(name: string): IntegerExpression {
    checkAttributeName("attribute: name", name);
    return new IntegerExpression({ op: "attribute", of: this.#side, name });
  }
}

/** Whether a pair is allowed. */
export class BooleanExpression {
  readonly node: BooleanNode;

  constructor(node: BooleanNode) {
    this.node = node;
  }

  and(...others: readonly BooleanExpression[]): BooleanExpression {
    return allOf([this, ...others]);
  }
  or(...others: readonly BooleanExpression[]): BooleanExpression {
    return anyOf([this, ...others]);
  }
  not(): BooleanExpression {
    if (this.node.op === "not") return new BooleanExpression(this.node.operand);
    return new BooleanExpression({ op: "not", operand: this.node });
  }
  /** A score modifier that is one number where this holds and another where it does not. */
  select(whenTrue: NumberLike, whenFalse: NumberLike): NumberExpression {
    const [a, b] = [numberNode(whenTrue), numberNode(whenFalse)];
    return new NumberExpression({ op: "select", condition: this.node, whenTrue: a, whenFalse: b });
  }
}

/** A modified score. */
export class NumberExpression {
  readonly node: NumberNode;

  constructor(node: NumberNode) {
    this.node = node;
  }

  plus(other: NumberLike): NumberExpression {
    return this.#with("add", other);
  }
  minus(other: NumberLike): NumberExpression {
    return this.#with("subtract", other);
  }
  times(other: NumberLike): NumberExpression {
    return this.#with("multiply", other);
  }
  dividedBy(other: NumberLike): NumberExpression {
    return this.#with("divide", other);
  }
  negate(): NumberExpression {
    return this.#apply("negate");
  }
  tanh(): NumberExpression {
    return this.#apply("tanh");
  }
  exp(): NumberExpression {
    return this.#apply("exp");
  }

  #with(op: NumberBinaryOp, other: NumberLike): NumberExpression {
    return new NumberExpression({ op, left: this.node, right: numberNode(other) });
  }
  #apply(op: NumberUnaryOp): NumberExpression {
    return new NumberExpression({ op, operand: this.node });
  }
}

function joined(op: "and" | "or", parts: readonly BooleanExpression[]): BooleanExpression {
  const operands = parts.flatMap(({ node }) => (node.op === op ? node.operands : [node]));
  if (operands.length === 0) return literal(op === "and");
  const [only, second] = operands;
  return new BooleanExpression(only && !second ? only : { op, operands });
}

/** True when every part is; nested ones are flattened; true for no part. */
export function allOf(parts: readonly BooleanExpression[]): BooleanExpression {
  return joined("and", parts);
}

/** True when a part is; nested ones are flattened; false for no part. */
export function anyOf(parts: readonly BooleanExpression[]): BooleanExpression {
  return joined("or", parts);
}

/** The same answer for every pair. */
export function literal(value: boolean): BooleanExpression {
  return new BooleanExpression({ op: "literal", value });
}

/** An int32 constant. */
export function constant(value: number): IntegerExpression {
  checkInteger("constant", value, { min: -(2 ** 31), max: greatestInteger });
  return new IntegerExpression({ op: "constant", value: value + 0 });
}

/** A finite float32 constant, rounded to float32. */
export function number(value: number): NumberExpression {
  checkNumber("number", Math.fround(value));
  return new NumberExpression({ op: "number", value: Math.fround(value) });
}

/** An integer expression as a number. */
export function fromInteger(value: IntegerExpression): NumberExpression {
  return new NumberExpression({ op: "fromInteger", operand: value.node });
}

/** The score before modification: scale times the product of query and key. */
export const score: NumberExpression = new NumberExpression({ op: "score" });

/** Entry `index` of a tensor [B|1, H|1, Lq|1, n] given with the call; 0 where `index` is outside it. */
export function lookup(table: string, index: IntegerLike): NumberExpression {
  checkAttributeName("lookup: table", table);
  return new NumberExpression({ op: "lookup", table, index: integerNode(index) });
}

/** Where a table is read; `head` is not used when the table has one head. */
export interface TableIndex {
  /** @default head */
  readonly head?: IntegerLike;
  readonly row: IntegerLike;
  readonly column: IntegerLike;
}

/** An entry of a boolean table; false where an index is outside it. */
export function lookupTable(
  table: BooleanTable,
  { head = variables.head, row, column }: TableIndex,
): BooleanExpression {
  checkTable("lookupTable: table", table);
  const [h, r, c] = [integerNode(head), integerNode(row), integerNode(column)];
  return new BooleanExpression({ op: "table", table, head: h, row: r, column: c });
}

/** What an expression is made of. */
export interface Variables extends Record<VariableName, IntegerExpression> {
  readonly query: TokenExpression;
  readonly key: TokenExpression;
  readonly head: IntegerExpression;
  readonly queryLength: IntegerExpression;
  readonly keyLength: IntegerExpression;
}

/** The leaves that `pattern` hands to a definition. */
export const variables: Variables = {
  query: new TokenExpression("query"),
  key: new TokenExpression("key"),
  head: new IntegerExpression({ op: "variable", name: "head" }),
  queryLength: new IntegerExpression({ op: "variable", name: "queryLength" }),
  keyLength: new IntegerExpression({ op: "variable", name: "keyLength" }),
};
