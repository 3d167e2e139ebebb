/**
 * Predicates of one number v = query·q + key·k over tiles: tabulated once, with prefix counts per step, so that a
 * tile whose values of v form a lattice is decided, exactly, by one subtraction.
 */
import { fillsLattice } from "./tile-interval.ts";
import { allHold, mixed, noneHold, nothingKnown } from "./tile-knowledge.ts";
import { gcd } from "./tile-direction.ts";
import type { Line } from "./tile-bound.ts";
import type { Tile } from "./tile-interval.ts";
import type { Knowledge } from "./tile-knowledge.ts";

/** Greatest number of values that are tabulated: 2^20. */
const greatestTable = 2 ** 20;
/** Prefix counts are kept for so many steps. */
const greatestSteps = 16;
/** Lattices with holes are counted run by run up to so many runs. */
const greatestRuns = 256;

/** Whether a predicate holds for each v from `low` on, and how often along lattices. */
class LineTable {
  readonly low: number;
  readonly #holds: Uint8Array;
  readonly #counts = new Map<number, Int32Array>();
  #lastStep = 0;
  #last: Int32Array = new Int32Array(0);

  constructor(test: (v: number) => boolean, low: number, high: number) {
    this.low = low;
    this.#holds = new Uint8Array(high - low + 1);
    for (let at = 0; at < this.#holds.length; at++) this.#holds[at] = test(low + at) ? 1 : 0;
  }

  /** How many of first, first + step, …, last hold; `step` at least 1. */
  count(first: number, last: number, step: number): number {
    const counts = step === this.#lastStep ? this.#last : this.#countsOf(step);
    const before = first - this.low - step;
    return (counts[last - this.low] ?? 0) - (before < 0 ? 0 : (counts[before] ?? 0));
  }

  #countsOf(step: number): Int32Array {
    let counts = this.#counts.get(step);
    if (!counts) {
      if (this.#counts.size >= greatestSteps) this.#counts.clear();
      counts = Int32Array.from(this.#holds);
      for (let at = step; at < counts.length; at++) counts[at] = (counts[at] ?? 0) + (counts[at - step] ?? 0);
      this.#counts.set(step, counts);
    }
    this.#lastStep = step;
    this.#last = counts;
    return counts;
  }
}

/** The values of v over all positions below `length`; null when there are too many to tabulate. */
function tabulate({ direction, test }: Line, length: number): LineTable | null {
  const low = (Math.min(direction.query, 0) + Math.min(direction.key, 0)) * (length - 1);
  const high = (Math.max(direction.query, 0) + Math.max(direction.key, 0)) * (length - 1);
  return high - low < greatestTable ? new LineTable(test, low, high) : null;
}

/** Compiles a line for tiles within [0, length)²; `fallback` compiles its source, for directions too steep to tabulate. */
export function compileLine(
  line: Line,
  tile: Tile,
  length: number,
  fallback: () => () => Knowledge,
): () => Knowledge {
  const table = tabulate(line, length);
  if (!table) return fallback();
  const { query, key } = line.direction;
  return () => {
    const { queryCount, keyCount } = tile;
    const [a, b] = [query * tile.queryStep, key * tile.keyStep];
    const first = query * tile.queryStart + key * tile.keyStart;
    const [across, along] = [a * (queryCount - 1), b * (keyCount - 1)];
    const low = first + Math.min(across, 0) + Math.min(along, 0);
    const high = first + Math.max(across, 0) + Math.max(along, 0);
    if (low === high) return table.count(low, low, 1) === 1 ? allHold : noneHold;
    const [x, y] = [across === 0 ? 0 : Math.abs(a), along === 0 ? 0 : Math.abs(b)];
    const step = x === 0 ? y : y === 0 ? x : x === 1 || y === 1 ? 1 : gcd(x, y);
    const holding = table.count(low, high, step);
    if (holding === 0) return noneHold;
    if (holding === (high - low) / step + 1) return allHold;
    if (x === 0 || y === 0 || fillsLattice(x, queryCount, y, keyCount)) return mixed;
    return queryCount < keyCount
      ? countRuns(table, low, queryCount, x, keyCount, y)
      : countRuns(table, low, keyCount, y, queryCount, x);
  };
}

/** A lattice with holes, as `runs` runs of `length` values. */
function countRuns(
  table: LineTable,
  low: number,
  runs: number,
  apart: number,
  length: number,
  step: number,
): Knowledge {
  if (runs > greatestRuns) return nothingKnown;
  let holding = 0;
  for (let run = 0; run < runs; run++) {
    const first = low + apart * run;
    holding += table.count(first, first + step * (length - 1), step);
    if (holding !== 0 && holding !== (run + 1) * length) return mixed;
  }
  return holding === 0 ? noneHold : allHold;
}
