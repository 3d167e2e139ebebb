/** Random trees of the attention language: for tile status, emitters, JSON and whatever else must hold for every tree. */
import { checkExpression } from "@heddle/attention";
import { HeddleError, checkInteger, randomStream } from "@heddle/core";
import type { BooleanNode, BooleanTable, ExpressionNode, IntegerNode, VariableName } from "@heddle/attention";

/** Attribute names that random trees read, of queries and of keys. */
export const randomAttributeNames: readonly string[] = ["a", "b"];

export interface RandomExpressionOptions {
  readonly seed: number;
  /** Which tree of the seed. */
  readonly index: number;
  /** Greatest number of operations above a leaf. @default 4 */
  readonly depth?: number;
  /** Length of the calls that it is for: no integer leaves int32 up to it, and constants are of its size. @default 64 */
  readonly length?: number;
  /** Heads of its tables. @default 4 */
  readonly heads?: number;
  /** Whether it reads token attributes. @default true */
  readonly attributes?: boolean;
}

/** A random boolean tree that `checkExpression` lets pass; the same options give the same tree. */
export function randomExpression(options: RandomExpressionOptions): BooleanNode {
  const { seed, index, depth = 4, length = 64, heads = 4, attributes = true } = options;
  checkInteger("randomExpression: index", index, { min: 0 });
  checkInteger("randomExpression: depth", depth, { min: 1, max: 16 });
  checkInteger("randomExpression: length", length, { min: 2, max: 2 ** 20 });
  checkInteger("randomExpression: heads", heads, { min: 1 });
  for (let attempt = 0; ; attempt++) {
    const stream = randomStream({ seed, path: `random-expression/${index}`, step: attempt });
    let drawn = 0;
    const node = new Maker((bound) => stream.integer(drawn++, bound), { length, heads, attributes }).boolean(
      depth,
    );
    try {
      checkExpression("randomExpression", node, { greatestLength: length, heads });
      return node;
    } catch (error) {
      // A product too large for int32: draw another.
      if (!(error instanceof HeddleError)) throw error;
    }
  }
}

/** How many nodes of each kind a tree has, added to `counts`; shared nodes count as often as they are used. */
export function countNodeKinds(
  node: ExpressionNode,
  counts: Map<string, number> = new Map(),
): Map<string, number> {
  const name = node.op === "variable" ? `variable ${node.name}` : node.op;
  counts.set(name, (counts.get(name) ?? 0) + 1);
  const parts: ExpressionNode[] = [];
  if ("operands" in node) parts.push(...node.operands);
  if ("operand" in node) parts.push(node.operand);
  if ("left" in node) parts.push(node.left);
  if ("right" in node) parts.push(node.right);
  if (node.op === "table") parts.push(node.head, node.row, node.column);
  for (const part of parts) countNodeKinds(part, counts);
  return counts;
}

interface MakerOptions {
  readonly length: number;
  readonly heads: number;
  readonly attributes: boolean;
}

class Maker {
  readonly #draw: (bound: number) => number;
  readonly #options: MakerOptions;

  constructor(draw: (bound: number) => number, options: MakerOptions) {
    this.#draw = draw;
    this.#options = options;
  }

  #pick<const T>(...from: readonly [T, ...T[]]): T {
    return from[this.#draw(from.length)] ?? from[0];
  }

  boolean(depth: number): BooleanNode {
    if (depth <= 0) return { op: "literal", value: this.#draw(2) === 1 };
    const op =
      depth === 1
        ? this.#pick("equal", "less", "lessOrEqual", "table")
        : this.#pick("and", "and", "or", "or", "not", "equal", "less", "lessOrEqual", "table", "literal");
    switch (op) {
      case "literal":
        // A literal of its own is dull: mostly something else.
        return this.#draw(8) === 0 ? this.boolean(0) : this.boolean(depth);
      case "not":
        return { op, operand: this.boolean(depth - 1) };
      case "and":
      case "or":
        return { op, operands: Array.from({ length: 1 + this.#draw(3) }, () => this.boolean(depth - 1)) };
      case "table":
        return this.#table(depth - 1);
      default:
        return { op, left: this.#integer(depth - 1), right: this.#integer(depth - 1) };
    }
  }

  #table(depth: number): BooleanNode {
    const heads = this.#pick(1, this.#options.heads);
    const size = { heads, rows: 1 + this.#draw(12), columns: 1 + this.#draw(12) };
    const density = 1 + this.#draw(4);
    const bits = new Uint8Array(heads * size.rows * size.columns);
    for (let at = 0; at < bits.length; at++) bits[at] = this.#draw(5) < density ? 1 : 0;
    const table: BooleanTable = { ...size, bits };
    const index = (name: VariableName): IntegerNode =>
      this.#draw(3) === 0
        ? this.#integer(depth)
        : depth > 0
          ? { op: "divide", left: { op: "variable", name }, divisor: 1 + this.#draw(12) }
          : { op: "variable", name };
    const head: IntegerNode = this.#draw(4) === 0 ? this.#integer(depth) : { op: "variable", name: "head" };
    return { op: "table", table, head, row: index("query"), column: index("key") };
  }

  #integer(depth: number): IntegerNode {
    if (depth <= 0 || this.#draw(5) === 0) return this.#leaf();
    const op = this.#pick(
      ...(["add", "subtract", "subtract", "subtract", "multiply", "minimum", "maximum"] as const),
      ...(["divide", "divide", "modulo", "modulo", "modulo"] as const),
    );
    if (op === "divide" || op === "modulo")
      return {
        op,
        left: this.#integer(depth - 1),
        divisor: 1 + this.#draw(this.#pick(4, 9, this.#options.length)),
      };
    return { op, left: this.#integer(depth - 1), right: this.#integer(depth - 1) };
  }

  #leaf(): IntegerNode {
    const { length, attributes } = this.#options;
    const kind = this.#pick("query", "query", "key", "key", "small", "small", "large", "attribute", "other");
    if (kind === "query" || kind === "key") return { op: "variable", name: kind };
    if (kind === "small") return { op: "constant", value: this.#draw(8) - 2 };
    if (kind === "other") return { op: "variable", name: this.#pick("head", "queryLength", "keyLength") };
    if (kind === "large" || !attributes) return { op: "constant", value: this.#draw(2 * length) - length };
    return { op: "attribute", of: this.#pick("query", "key"), name: this.#pick("a", "b") };
  }
}
