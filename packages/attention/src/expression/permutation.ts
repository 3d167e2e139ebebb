/**
 * Permutations under which scattered expressions are dense: positions grouped by their residue modulo m.
 *
 * Where every allowed pair has query - key = r (mod m), queries of one residue see keys of one residue only, so that
 * tiles of positions with step m are full or empty where contiguous ones would be mostly holes.
 */
import { bind } from "./tile-bound.ts";
import { gcd } from "./tile-direction.ts";
import { floorModulo } from "./tile-form.ts";
import { reads } from "./tree.ts";
import type { Bound, Line } from "./tile-bound.ts";
import type { Form } from "./tile-form.ts";
import type { BooleanNode, PatternShape } from "./tree.ts";

/** Groups positions by their residue. */
export interface DensePermutation {
  /** At least 2. */
  readonly modulus: number;
}

/** query - key is residue + modulus·i for every allowed pair; modulus 0: it is `residue`. `null`: no pair is allowed. */
export type Congruence = { readonly modulus: number; readonly residue: number } | null;

const anything: Congruence = { modulus: 1, residue: 0 };

/**
 * The permutation under which an expression is dense: the greatest modulus found to hold for query - key of all
 * allowed pairs, of one head or (when no head is given) of all heads together. `null` when there is none, or when it
 * would leave fewer than two keys a group.
 */
export function densePermutation(
  expression: BooleanNode,
  shape: PatternShape,
  head?: number,
): DensePermutation | null {
  const congruence = congruenceOf(expression, shape, head);
  const modulus = congruence?.modulus ?? 0;
  return modulus > 1 && modulus <= shape.keyLength / 2 ? { modulus } : null;
}

/** What holds for query - key of all allowed pairs of one head, or of all heads when none is given. */
export function congruenceOf(expression: BooleanNode, shape: PatternShape, head?: number): Congruence {
  const { heads, queryLength, keyLength } = shape;
  const last = reads(expression).variables.has("head") ? heads - 1 : 0;
  let found: Congruence = null;
  for (let at = head ?? 0; at <= (head ?? last); at++) {
    const bound = bind(expression, { head: at, queryLength, keyLength });
    found = either(found, ofBound(bound, shape));
    if (found?.modulus === 1) break;
  }
  return found;
}

function ofBound(bound: Bound, shape: PatternShape): Congruence {
  switch (bound.kind) {
    case "constant":
      return bound.value ? anything : null;
    case "line":
      return bound.direction.query === 1 && bound.direction.key === -1 ? ofLine(bound, shape) : anything;
    case "compare":
      return bound.rule === "zero" ? ofZero(bound.form) : anything;
    case "and": {
      let found: Congruence = anything;
      for (const operand of bound.operands) found = both(found, ofBound(operand, shape));
      return found;
    }
    case "or": {
      let found: Congruence = null;
      for (const operand of bound.operands) found = either(found, ofBound(operand, shape));
      return found;
    }
    default:
      return anything;
  }
}

/** A predicate of query - key: the differences between the values at which it holds. */
function ofLine({ test }: Line, { queryLength, keyLength }: PatternShape): Congruence {
  let found: Congruence = null;
  for (let v = 1 - keyLength; v < queryLength; v++) {
    if (!test(v)) continue;
    found = either(found, { modulus: 0, residue: v });
    if (found?.modulus === 1) break;
  }
  return found;
}

/** form = 0, where x mod d is x + d·i and any other atom can be any integer. */
function ofZero(form: Form): Congruence {
  let [query, key, constant, modulus] = [form.query, form.key, form.constant, 0];
  for (const { factor, atom } of form.terms) {
    if (atom.kind !== "modulo" || atom.form.terms.length > 0) modulus = gcd(modulus, factor);
    else {
      modulus = gcd(modulus, factor * atom.divisor);
      query += factor * atom.form.query;
      key += factor * atom.form.key;
      constant += factor * atom.form.constant;
    }
  }
  const alongDifference = modulus === 0 ? query + key === 0 : (query + key) % modulus === 0;
  if (!alongDifference || query === 0) return anything;
  return solve(query, -constant, modulus);
}

/** All v with slope·v = value (mod modulus); modulus 0 is equality. */
function solve(slope: number, value: number, modulus: number): Congruence {
  const common = gcd(slope, modulus);
  if (value % common !== 0) return null;
  if (modulus === 0) return { modulus: 0, residue: value / slope };
  const reduced = modulus / common;
  const [a, b] = [floorModulo(slope / common, reduced), floorModulo(value / common, reduced)];
  // A product of two residues may leave what a double holds exactly.
  return { modulus: reduced, residue: Number((BigInt(inverse(a, reduced)) * BigInt(b)) % BigInt(reduced)) };
}

/** The v in [0, modulus) with a·v = 1 (mod modulus), for an `a` that shares no factor with it: Euclid's algorithm. */
function inverse(a: number, modulus: number): number {
  let [high, low] = [modulus, a];
  let [before, now] = [0, 1];
  while (low > 1) {
    const times = Math.floor(high / low);
    [high, low] = [low, high - times * low];
    [before, now] = [now, before - times * now];
  }
  return modulus === 1 ? 0 : floorModulo(now, modulus);
}

function either(a: Congruence, b: Congruence): Congruence {
  if (!a || !b) return a ?? b;
  const modulus = gcd(gcd(a.modulus, b.modulus), a.residue - b.residue);
  return { modulus, residue: modulus === 0 ? a.residue : floorModulo(a.residue, modulus) };
}

function both(a: Congruence, b: Congruence): Congruence {
  if (!a || !b) return null;
  const [large, small] = a.modulus === 0 || (b.modulus !== 0 && a.modulus >= b.modulus) ? [a, b] : [b, a];
  const common = gcd(large.modulus, small.modulus);
  const apart = large.residue - small.residue;
  if (common === 0 ? apart !== 0 : apart % common !== 0) return null;
  if (large.modulus === 0) return large;
  const modulus = (large.modulus / common) * small.modulus;
  if (modulus > 2 ** 31) return large;
  let { residue } = large;
  while (floorModulo(residue - small.residue, small.modulus) !== 0) residue += large.modulus;
  return { modulus, residue };
}
