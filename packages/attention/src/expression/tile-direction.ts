/** Forms and predicates of one number v = query·q + key·k, such as q - k: which direction, and their value at a v. */
import { floorModulo } from "./tile-form.ts";
import type { Atom, Form } from "./tile-form.ts";

/** Coefficients of v without a common divisor; the first that is not 0 is positive. */
export interface Direction {
  readonly query: number;
  readonly key: number;
}

/** A form reads no position (`null`), one direction, or more than that says (`"mixed"`). */
export type DirectionOrNot = Direction | null | "mixed";

/** Greatest common divisor of the absolute values; of 0 and x it is |x|. */
export function gcd(a: number, b: number): number {
  let [x, y] = [Math.abs(a), Math.abs(b)];
  while (y !== 0) [x, y] = [y, x % y];
  return x;
}

/** What two parts read together. */
export function joinDirections(a: DirectionOrNot, b: DirectionOrNot): DirectionOrNot {
  if (a === null) return b;
  if (b === null) return a;
  return a !== "mixed" && b !== "mixed" && a.query === b.query && a.key === b.key ? a : "mixed";
}

/** The direction that a form is a function of. Attributes are of none, so they count as mixed. */
export function directionOf(form: Form): DirectionOrNot {
  let found: DirectionOrNot = null;
  if (form.query !== 0 || form.key !== 0) {
    const sign = form.query < 0 || (form.query === 0 && form.key < 0) ? -1 : 1;
    const size = gcd(form.query, form.key) * sign;
    found = { query: form.query / size + 0, key: form.key / size + 0 };
  }
  for (const { atom } of form.terms) found = joinDirections(found, directionOfAtom(atom));
  return found;
}

function directionOfAtom(atom: Atom): DirectionOrNot {
  if (atom.kind === "attribute") return "mixed";
  if ("form" in atom) return directionOf(atom.form);
  return joinDirections(directionOf(atom.left), directionOf(atom.right));
}

/** A form of one direction (or constant) as a function of v. */
export function formAlong(form: Form, direction: Direction): (v: number) => number {
  const slope = direction.query !== 0 ? form.query / direction.query : form.key / direction.key;
  const { constant } = form;
  const [first, second, ...others] = form.terms.map(({ factor, atom }) => ({
    factor,
    at: atomAlong(atom, direction),
  }));
  if (!first) return (v) => slope * v + constant;
  if (!second) return (v) => slope * v + constant + first.factor * first.at(v);
  const rest = [second, ...others];
  return (v) => {
    let total = slope * v + constant + first.factor * first.at(v);
    for (const { factor, at } of rest) total += factor * at(v);
    return total;
  };
}

function atomAlong(atom: Atom, direction: Direction): (v: number) => number {
  if (atom.kind === "attribute") throw new TypeError("an attribute has no direction");
  if ("form" in atom) {
    const [at, { divisor }] = [formAlong(atom.form, direction), atom];
    return atom.kind === "divide" ? (v) => Math.floor(at(v) / divisor) : (v) => floorModulo(at(v), divisor);
  }
  const [left, right] = [formAlong(atom.left, direction), formAlong(atom.right, direction)];
  if (atom.kind === "multiply") return (v) => left(v) * right(v);
  return atom.kind === "minimum" ? (v) => Math.min(left(v), right(v)) : (v) => Math.max(left(v), right(v));
}
