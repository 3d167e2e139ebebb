import { describe, expect, it } from "vitest";
import { countNodeKinds, randomExpression } from "./random-expression.ts";
import type { BooleanNode, IntegerNode } from "@heddle/attention";

function height(node: BooleanNode | IntegerNode): number {
  const parts: (BooleanNode | IntegerNode)[] = [];
  if ("operands" in node) parts.push(...node.operands);
  if ("operand" in node) parts.push(node.operand);
  if ("left" in node) parts.push(node.left);
  if ("right" in node) parts.push(node.right);
  if (node.op === "table") parts.push(node.head, node.row, node.column);
  return parts.length === 0 ? 0 : 1 + Math.max(...parts.map(height));
}

describe("randomExpression", () => {
  it("gives the same tree for the same seed and index, and others otherwise", () => {
    const first = Array.from({ length: 20 }, (_, index) => randomExpression({ seed: 1, index }));
    const again = Array.from({ length: 20 }, (_, index) => randomExpression({ seed: 1, index }));
    expect(again).toEqual(first);
    expect(randomExpression({ seed: 2, index: 0 })).not.toEqual(first[0]);
    expect(new Set(first.map((tree) => JSON.stringify(tree))).size).toBeGreaterThan(15);
  });

  it("reaches its depth and not more", () => {
    for (const depth of [1, 2, 4]) {
      const trees = Array.from({ length: 200 }, (_, index) => randomExpression({ seed: 3, index, depth }));
      expect(Math.max(...trees.map(height))).toBe(depth);
    }
  });

  it("draws every kind of node", () => {
    const counts = new Map<string, number>();
    for (let index = 0; index < 300; index++) countNodeKinds(randomExpression({ seed: 4, index }), counts);
    const variables = ["query", "key", "head", "queryLength", "keyLength"].map((name) => `variable ${name}`);
    const integers = [
      "constant",
      "attribute",
      "add",
      "subtract",
      "multiply",
      "minimum",
      "maximum",
      "divide",
      "modulo",
    ];
    const booleans = ["literal", "equal", "less", "lessOrEqual", "and", "or", "not", "table"];
    expect([...counts.keys()].toSorted()).toEqual([...variables, ...integers, ...booleans].toSorted());
    for (const [kind, count] of counts) expect(count, kind).toBeGreaterThan(4);
  });

  it("can leave attributes out", () => {
    const counts = new Map<string, number>();
    for (let index = 0; index < 100; index++)
      countNodeKinds(randomExpression({ seed: 5, index, attributes: false }), counts);
    expect(counts.has("attribute")).toBe(false);
  });

  it("rejects a negative index", () => {
    expect(() => randomExpression({ seed: 1, index: -1 })).toThrow(
      "randomExpression: index must be an integer >= 0, got -1",
    );
  });
});
