/** Patterns whose heads differ: a choice for each head, joined over the heads that share it. */
import { checkOneOf, reject } from "@heddle/core";
import { anyOf } from "./builders.ts";
import type { BooleanExpression, IntegerExpression } from "./builders.ts";

/** Inclusive runs of consecutive integers that cover a set, in order. */
function runs(values: readonly number[]): [first: number, last: number][] {
  const found: [number, number][] = [];
  for (const value of [...new Set(values)].toSorted((a, b) => a - b)) {
    const last = found.at(-1);
    if (last && last[1] === value - 1) last[1] = value;
    else found.push([value, value]);
  }
  return found;
}

/** Whether an expression is one of some integers. */
export function isOneOf(expression: IntegerExpression, values: readonly number[]): BooleanExpression {
  return anyOf(
    runs(values).map(([first, last]) =>
      first === last ? expression.equals(first) : expression.between(first, last),
    ),
  );
}

/** Checks a list with one choice a head. */
export function checkChoices(where: string, choices: readonly string[], allowed: readonly string[]): void {
  if (!Array.isArray(choices) || choices.length === 0)
    reject(where, "be a list with one entry a head", choices);
  for (const [head, choice] of choices.entries()) checkOneOf(`${where}[${head}]`, choice, allowed);
}

/** What `make` gives for each head's choice. A list with one distinct choice does not read the head. */
export function perHead<Choice extends string | number>(
  head: IntegerExpression,
  choices: readonly Choice[],
  make: (choice: Choice) => BooleanExpression,
): BooleanExpression {
  const distinct = [...new Set(choices)];
  const [only, second] = distinct;
  if (only !== undefined && second === undefined) return make(only);
  return anyOf(
    distinct.map((choice) => {
      const heads = [...choices.keys()].filter((at) => choices[at] === choice);
      return isOneOf(head, heads).and(make(choice));
    }),
  );
}
