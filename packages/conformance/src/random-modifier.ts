/** Random score modifiers, for the emitters and for derivatives. */
import { randomStream } from "@heddle/core";
import { randomExpression } from "./random-expression.ts";
import type { IntegerNode, NumberNode } from "@heddle/attention";

/** Names of the tensors that random modifiers look up. */
export const randomTableNames: readonly string[] = ["bias", "slope"];

/** A random number tree whose values stay small; the same seed and index give the same tree. */
export function randomModifier({
  seed,
  index,
  depth = 4,
}: {
  seed: number;
  index: number;
  depth?: number;
}): NumberNode {
  const stream = randomStream({ seed, path: "random-modifier", step: index });
  let drawn = 0;
  const draw = (bound: number) => stream.integer(drawn++, bound);
  const distance: IntegerNode = {
    op: "subtract",
    left: { op: "variable", name: "key" },
    right: { op: "variable", name: "query" },
  };
  const tamed = (node: NumberNode): NumberNode => ({ op: "tanh", operand: node });
  const leaf = (): NumberNode => {
    switch (draw(6)) {
      case 0:
        return { op: "number", value: Math.fround((draw(41) - 20) / 8) };
      case 1: {
        const operand = { op: "fromInteger", operand: distance } as const;
        return { op: "multiply", left: operand, right: { op: "number", value: 0.0625 } };
      }
      case 2:
        return {
          op: "lookup",
          table: "bias",
          index: { op: "add", left: distance, right: { op: "constant", value: 9 } },
        };
      case 3:
        return { op: "lookup", table: "slope", index: { op: "constant", value: draw(3) - 1 } };
      default:
        return { op: "score" };
    }
  };
  const make = (rest: number): NumberNode => {
    if (rest === 0) return leaf();
    switch (draw(9)) {
      case 0:
        return { op: "tanh", operand: make(rest - 1) };
      case 1:
        return { op: "exp", operand: tamed(make(rest - 1)) };
      case 2:
        return { op: "negate", operand: make(rest - 1) };
      case 3: {
        const condition = randomExpression({ seed, index: 16 * index + rest, depth: 2, attributes: false });
        return { op: "select", condition, whenTrue: make(rest - 1), whenFalse: make(rest - 1) };
      }
      case 4: {
        // A divisor of at least 1: e^tanh is above 1/e, and 1 is added.
        const positive: NumberNode = { op: "exp", operand: tamed(make(rest - 1)) };
        const right: NumberNode = { op: "add", left: positive, right: { op: "number", value: 1 } };
        return { op: "divide", left: make(rest - 1), right };
      }
      case 5:
        return { op: "multiply", left: tamed(make(rest - 1)), right: tamed(make(rest - 1)) };
      case 6:
        return { op: "subtract", left: make(rest - 1), right: make(rest - 1) };
      default:
        return { op: "add", left: make(rest - 1), right: make(rest - 1) };
    }
  };
  return make(depth);
}
