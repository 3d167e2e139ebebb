/** Compiles a bound expression to a closure that says what is known of it over the tile at hand. */
import { axesOf, compileForm } from "./tile-interval.ts";
import {
  allHold,
  and,
  doesFail,
  doesHold,
  mixed,
  noneHold,
  not,
  nothingKnown,
  or,
} from "./tile-knowledge.ts";
import { compileLine } from "./tile-line.ts";
import { compileTable } from "./tile-table.ts";
import type { Bound } from "./tile-bound.ts";
import type { Axes, Tile } from "./tile-interval.ts";
import type { Knowledge } from "./tile-knowledge.ts";

/** Compiles for tiles within [0, length)². */
export function compileBound(bound: Bound, tile: Tile, length: number): () => Knowledge {
  switch (bound.kind) {
    case "constant": {
      const known = bound.value ? allHold : noneHold;
      return () => known;
    }
    case "compare":
      return compileCompare(bound, tile);
    case "table":
      return compileTable(bound, tile);
    case "line":
      return compileLine(bound, tile, length, () => compileBound(bound.source, tile, length));
    case "not": {
      const operand = compileBound(bound.operand, tile, length);
      return () => not(operand());
    }
    default: {
      const parts = bound.operands.map((operand) => compileBound(operand, tile, length));
      return bound.kind === "and" ? compileJoin(parts, and, noneHold) : compileJoin(parts, or, allHold);
    }
  }
}

function compileCompare({ rule, form }: Bound & { readonly kind: "compare" }, tile: Tile): () => Knowledge {
  const value = compileForm(form, tile);
  if (rule === "notPositive")
    return () => {
      const { low, high, ends } = value();
      if (high <= 0) return allHold;
      if (low > 0) return noneHold;
      return ends ? mixed : nothingKnown;
    };
  return () => {
    const { low, high, step, exact, ends } = value();
    if (low > 0 || high < 0) return noneHold;
    if (step === 0) return allHold;
    if (low % step !== 0) return noneHold;
    if (exact) return mixed;
    return nothingKnown | (ends ? doesFail | (low === 0 || high === 0 ? doesHold : 0) : 0);
  };
}

type Join = (a: Knowledge, b: Knowledge) => Knowledge;

/** Joins from left to right until `end`, which no further part changes. */
function compileJoin(parts: readonly (() => Knowledge)[], join: Join, end: Knowledge): () => Knowledge {
  const [first, second, ...rest] = parts;
  if (!first || !second) throw new TypeError("a join has two parts or more");
  return () => {
    let known = first();
    if (known === end) return end;
    known = join(known, second());
    for (const part of rest) {
      if (known === end) return end;
      known = join(known, part());
    }
    return known;
  };
}

/** The axes that an expression varies along. */
export function axesOfBound(bound: Bound): Axes {
  switch (bound.kind) {
    case "constant":
      return 0;
    case "compare":
      return axesOf(bound.form);
    case "table":
      return (axesOf(bound.head) | axesOf(bound.row) | axesOf(bound.column)) as Axes;
    case "line":
      return ((bound.direction.query !== 0 ? 1 : 0) | (bound.direction.key !== 0 ? 2 : 0)) as Axes;
    case "not":
      return axesOfBound(bound.operand);
    default:
      return bound.operands.reduce<number>((axes, operand) => axes | axesOfBound(operand), 0) as Axes;
  }
}
