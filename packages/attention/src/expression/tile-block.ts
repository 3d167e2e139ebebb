/** The block size that a tree's quotients show, to which tiles are aligned. */
import { gcd } from "./tile-direction.ts";
import { walk } from "./tree.ts";
import type { BooleanNode, IntegerNode } from "./tree.ts";

/**
 * The block size of an expression: the greatest common divisor of what `query` is divided by in it; 1 when it divides
 * no position. Query tiles that start at multiples of it meet no block in part.
 */
export function preferredBlock(expression: BooleanNode): number {
  let block = 0;
  walk(expression, (node) => {
    if (node.op === "divide" && "divisor" in node && readsQuery(node.left)) block = gcd(block, node.divisor);
  });
  return block === 0 ? 1 : block;
}

function readsQuery(node: IntegerNode): boolean {
  let found = false;
  walk(node, (part) => (found ||= part.op === "variable" && part.name === "query"));
  return found;
}
