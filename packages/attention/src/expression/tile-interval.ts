/**
 * What the values of an integer over a tile are known to be: an interval with a congruence.
 *
 * Every value is low + step·i and at most high; both ends are of that kind. The closures that {@link compileForm}
 * makes write into an interval of their own, which the next call overwrites.
 */
import { floorModulo } from "./tile-form.ts";
import type { Atom, Form } from "./tile-form.ts";
import { gcd } from "./tile-direction.ts";
import { anyAttribute, attributeRange } from "./tile-range.ts";
import type { StridedRange, TileAttributes } from "./tile-range.ts";

/** What is known of an integer over a tile: low, low + step, ... up to high at most. */
export interface Interval {
  low: number;
  high: number;
  /** 0 when the value is constant. */
  step: number;
  /** Each low + step·i up to high is the value of a pair of the tile. */
  exact: boolean;
  /** low and high are values of pairs of the tile. */
  ends: boolean;
}

/** The tile at hand, which all closures of one expression read. */
export interface Tile {
  queryStart: number;
  queryStep: number;
  queryCount: number;
  keyStart: number;
  keyStep: number;
  keyCount: number;
  attributes: TileAttributes | undefined;
  /** Not a part of the tile that the attribute ranges were taken from. */
  whole: boolean;
}

/** The axes that a value varies along: 1 the queries, 2 the keys, 3 both. */
export type Axes = 0 | 1 | 2 | 3;

/** The axes that a form varies along. */
export function axesOf(form: Form): Axes {
  let axes = (form.query !== 0 ? 1 : 0) | (form.key !== 0 ? 2 : 0);
  for (const { atom } of form.terms) axes |= axesOfAtom(atom);
  return axes as Axes;
}

function axesOfAtom(atom: Atom): Axes {
  if (atom.kind === "attribute") return atom.of === "query" ? 1 : 2;
  if ("form" in atom) return axesOf(atom.form);
  return (axesOf(atom.left) | axesOf(atom.right)) as Axes;
}

function fresh(): Interval {
  return { low: 0, high: 0, step: 0, exact: true, ends: true };
}

/** Whether the sums of two lattices of `m` and `n` points with steps a and b fill the lattice of step gcd(a, b). */
export function fillsLattice(a: number, m: number, b: number, n: number): boolean {
  if (m === 1 || n === 1) return true;
  const step = gcd(a, b);
  return (b === step && n >= a / step) || (a === step && m >= b / step);
}

/** The interval of a form over the tile at hand. */
export function compileForm(form: Form, tile: Tile): () => Interval {
  const { constant } = form;
  const linear = form.query !== 0 || form.key !== 0 ? compileLinear(form, tile) : null;
  let axes = (form.query !== 0 ? 1 : 0) | (form.key !== 0 ? 2 : 0);
  const parts = form.terms.map(({ factor, atom }) => {
    const apart = (axes & axesOfAtom(atom)) === 0;
    axes |= axesOfAtom(atom);
    return { factor, apart, at: compileAtom(atom, tile) };
  });
  const [only, second] = parts;
  if (linear && !only) return linear;
  if (!linear && only && !second && only.factor === 1 && constant === 0) return only.at;
  const out = fresh();
  return () => {
    if (linear) copy(out, linear());
    else setConstant(out, constant);
    for (const { factor, apart, at } of parts) addScaled(out, at(), factor, apart);
    return out;
  };
}

function copy(out: Interval, { low, high, step, exact, ends }: Interval): void {
  out.low = low;
  out.high = high;
  out.step = step;
  out.exact = exact;
  out.ends = ends;
}

function setConstant(out: Interval, value: number): void {
  out.low = out.high = value;
  out.step = 0;
  out.exact = out.ends = true;
}

/** The linear part with the constant. */
function compileLinear({ query, key, constant }: Form, tile: Tile): () => Interval {
  const out = fresh();
  return () => {
    const { queryStart, queryStep, queryCount, keyStart, keyStep, keyCount } = tile;
    const across = query * queryStep * (queryCount - 1);
    const along = key * keyStep * (keyCount - 1);
    const base = constant + query * queryStart + key * keyStart;
    out.low = base + Math.min(across, 0) + Math.min(along, 0);
    out.high = base + Math.max(across, 0) + Math.max(along, 0);
    const a = across === 0 ? 0 : Math.abs(query * queryStep);
    const b = along === 0 ? 0 : Math.abs(key * keyStep);
    out.step = a === 0 ? b : b === 0 ? a : a === 1 || b === 1 ? 1 : gcd(a, b);
    out.exact = a === 0 || b === 0 || fillsLattice(a, queryCount, b, keyCount);
    return out;
  };
}

function count({ low, high, step }: Interval): number {
  return step === 0 ? 1 : (high - low) / step + 1;
}

/** out += factor·value; `apart` when the two vary along different axes. */
function addScaled(out: Interval, value: Interval, factor: number, apart: boolean): void {
  const size = Math.abs(factor) * value.step;
  const ends = (apart || out.step === 0 || size === 0) && out.ends && value.ends;
  out.exact = ends && out.exact && value.exact && fillsLattice(out.step, count(out), size, count(value));
  out.ends = ends;
  out.low += factor * (factor > 0 ? value.low : value.high);
  out.high += factor * (factor > 0 ? value.high : value.low);
  out.step = gcd(out.step, size);
}

function compileAtom(atom: Atom, tile: Tile): () => Interval {
  switch (atom.kind) {
    case "attribute":
      return compileAttribute(atom.of, atom.name, tile);
    case "divide":
      return compileDivide(compileForm(atom.form, tile), atom.divisor);
    case "modulo":
      return compileModulo(compileForm(atom.form, tile), atom.divisor);
    default: {
      const [left, right] = [compileForm(atom.left, tile), compileForm(atom.right, tile)];
      const apart = (axesOf(atom.left) & axesOf(atom.right)) === 0;
      if (atom.kind === "multiply") return compileProduct(left, right, apart);
      return compileExtreme(left, right, apart, atom.kind === "minimum" ? Math.min : Math.max);
    }
  }
}

function compileAttribute(of: "query" | "key", name: string, tile: Tile): () => Interval {
  const out = fresh();
  return () => {
    const ranges = tile.attributes?.[of];
    const given = ranges && Object.hasOwn(ranges, name) ? ranges[name] : undefined;
    const part = given?.values && !tile.whole ? attributeRange(given.values, rangeOf(tile, of)) : undefined;
    const { minimum, maximum } = part ?? given ?? anyAttribute;
    out.low = minimum;
    out.high = maximum;
    out.step = minimum === maximum ? 0 : 1;
    out.ends = out.step === 0 || part !== undefined || (given !== undefined && tile.whole);
    out.exact = out.ends && maximum - minimum <= 1;
    return out;
  };
}

function rangeOf(tile: Tile, side: "query" | "key"): StridedRange {
  return side === "query"
    ? { start: tile.queryStart, step: tile.queryStep, count: tile.queryCount }
    : { start: tile.keyStart, step: tile.keyStep, count: tile.keyCount };
}

function compileDivide(of: () => Interval, divisor: number): () => Interval {
  const out = fresh();
  return () => {
    const value = of();
    out.low = Math.floor(value.low / divisor);
    out.high = Math.floor(value.high / divisor);
    const whole = value.step % divisor === 0;
    out.step = out.low === out.high ? 0 : whole ? value.step / divisor : 1;
    out.ends = value.ends || out.step === 0;
    out.exact = out.step === 0 || (value.exact && (whole || value.step <= divisor));
    return out;
  };
}

function compileModulo(of: () => Interval, divisor: number): () => Interval {
  const out = fresh();
  return () => {
    const value = of();
    const floor = Math.floor(value.low / divisor) * divisor;
    if (value.high < floor + divisor) {
      copy(out, value);
      out.low -= floor;
      out.high -= floor;
      return out;
    }
    const step = gcd(value.step, divisor);
    out.low = floorModulo(value.low, step);
    out.high = divisor - step + out.low;
    out.step = out.low === out.high ? 0 : step;
    out.exact = out.ends = out.step === 0 || (value.exact && count(value) >= divisor / step);
    return out;
  };
}

function compileProduct(leftOf: () => Interval, rightOf: () => Interval, apart: boolean): () => Interval {
  const out = fresh();
  return () => {
    const [a, b] = [leftOf(), rightOf()];
    const [w, x, y, z] = [a.low * b.low, a.low * b.high, a.high * b.low, a.high * b.high];
    out.low = Math.min(w, x, y, z);
    out.high = Math.max(w, x, y, z);
    const fixed = a.step === 0 || b.step === 0;
    const step = gcd(gcd(a.step * b.low, b.step * a.low), a.step * b.step);
    out.step = out.low === out.high ? 0 : step;
    out.ends = out.step === 0 || ((apart || fixed) && a.ends && b.ends);
    out.exact = out.step === 0 || (fixed && a.exact && b.exact);
    return out;
  };
}

function compileExtreme(
  leftOf: () => Interval,
  rightOf: () => Interval,
  apart: boolean,
  pick: (a: number, b: number) => number,
): () => Interval {
  const out = fresh();
  return () => {
    const [a, b] = [leftOf(), rightOf()];
    if (a.high <= b.low || b.high <= a.low) {
      copy(out, pick(a.low, b.low) === a.low && pick(a.high, b.high) === a.high ? a : b);
      return out;
    }
    out.low = pick(a.low, b.low);
    out.high = pick(a.high, b.high);
    out.step = out.low === out.high ? 0 : gcd(gcd(a.step, b.step), a.low - b.low);
    out.ends = apart && a.ends && b.ends;
    out.exact = apart && a.exact && b.exact && a.step <= 1 && b.step <= 1;
    return out;
  };
}
