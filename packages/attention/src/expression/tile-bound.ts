/**
 * A boolean expression bound to one head and shape: constants folded, comparisons as forms against 0, and what reads
 * one direction (such as q - k) gathered into single predicates of that number, conjunctions and disjunctions included.
 */
import { tableEntry } from "./evaluate.ts";
import { directionOf, formAlong, joinDirections } from "./tile-direction.ts";
import type { Direction } from "./tile-direction.ts";
import { FormBuilder, difference, isConstant } from "./tile-form.ts";
import type { Form, KnownVariables } from "./tile-form.ts";
import type { BooleanNode, BooleanTable } from "./tree.ts";

/** A predicate over a tile, ready to be evaluated. */
export type Bound =
  | { readonly kind: "constant"; readonly value: boolean }
  /** form = 0, or form <= 0. */
  | { readonly kind: "compare"; readonly rule: "zero" | "notPositive"; readonly form: Form }
  | {
      readonly kind: "table";
      readonly table: BooleanTable;
      readonly head: Form;
      readonly row: Form;
      readonly column: Form;
    }
  | { readonly kind: "and" | "or"; readonly operands: readonly Bound[] }
  | { readonly kind: "not"; readonly operand: Bound }
  | Line;

/** A predicate of one number v; `source` says the same without it. */
export interface Line {
  readonly kind: "line";
  readonly direction: Direction;
  readonly test: (v: number) => boolean;
  readonly source: Bound;
}

const always: Bound = { kind: "constant", value: true };
const never: Bound = { kind: "constant", value: false };

/** Binds an expression that `checkExpression` let pass. */
export function bind(expression: BooleanNode, known: KnownVariables): Bound {
  const builder = new FormBuilder(known);
  const memo = new Map<BooleanNode, Bound>();
  const visit = (node: BooleanNode): Bound => {
    let found = memo.get(node);
    if (!found) memo.set(node, (found = build(node)));
    return found;
  };
  const build = (node: BooleanNode): Bound => {
    switch (node.op) {
      case "literal":
        return node.value ? always : never;
      case "not":
        return negate(visit(node.operand));
      case "and":
      case "or":
        return join(node.op, node.operands.map(visit));
      case "table": {
        const head = builder.form(node.table.heads === 1 ? { op: "constant", value: 0 } : node.head);
        return tableOf(node.table, head, builder.form(node.row), builder.form(node.column));
      }
      default: {
        const apart = difference(builder.form(node.left), builder.form(node.right));
        if (node.op === "equal") return compare("zero", apart);
        return compare(
          "notPositive",
          node.op === "less" ? { ...apart, constant: apart.constant + 1 } : apart,
        );
      }
    }
  };
  return visit(expression);
}

function compare(rule: "zero" | "notPositive", form: Form): Bound {
  if (isConstant(form)) return (rule === "zero" ? form.constant === 0 : form.constant <= 0) ? always : never;
  const source: Bound = { kind: "compare", rule, form };
  const direction = directionOf(form);
  if (direction === null || direction === "mixed") return source;
  const at = formAlong(form, direction);
  const test = rule === "zero" ? (v: number) => at(v) === 0 : (v: number) => at(v) <= 0;
  return { kind: "line", direction, test, source };
}

function tableOf(table: BooleanTable, head: Form, row: Form, column: Form): Bound {
  const source: Bound = { kind: "table", table, head, row, column };
  const direction = joinDirections(directionOf(head), joinDirections(directionOf(row), directionOf(column)));
  if (direction === "mixed") return source;
  if (direction === null)
    return tableEntry(table, head.constant, row.constant, column.constant) ? always : never;
  const [h, r, c] = [formAlong(head, direction), formAlong(row, direction), formAlong(column, direction)];
  return { kind: "line", direction, test: (v) => tableEntry(table, h(v), r(v), c(v)), source };
}

function negate(bound: Bound): Bound {
  if (bound.kind === "constant") return bound.value ? never : always;
  if (bound.kind === "not") return bound.operand;
  if (bound.kind !== "line") return { kind: "not", operand: bound };
  const { direction, test, source } = bound;
  return { kind: "line", direction, test: (v) => !test(v), source: negate(source) };
}

/** Joins parts; those of one direction become one line. */
function join(op: "and" | "or", parts: readonly Bound[]): Bound {
  const neutral = op === "and";
  const lines = new Map<string, Line[]>();
  const others: Bound[] = [];
  for (const part of parts.flatMap((bound) => (bound.kind === op ? bound.operands : [bound]))) {
    if (part.kind === "constant") {
      if (part.value !== neutral) return part;
    } else if (part.kind === "line") {
      const name = `${part.direction.query},${part.direction.key}`;
      lines.set(name, [...(lines.get(name) ?? []), part]);
    } else others.push(part);
  }
  const operands = [...[...lines.values()].map((group) => joinLines(op, group)), ...others];
  const [only, second] = operands;
  if (!only) return neutral ? always : never;
  return second ? { kind: op, operands } : only;
}

function joinLines(op: "and" | "or", group: readonly Line[]): Bound {
  const [first, ...rest] = group;
  if (!first || rest.length === 0) return first ?? never;
  const tests = group.map(({ test }) => test);
  const test =
    op === "and" ? (v: number) => tests.every((t) => t(v)) : (v: number) => tests.some((t) => t(v));
  return {
    kind: "line",
    direction: first.direction,
    test,
    source: { kind: op, operands: group.map((line) => line.source) },
  };
}
