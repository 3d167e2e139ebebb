/** Decides tiles of one bound expression: what the domain leaves open is tried at a few pairs, then halved. */
import { bind } from "./tile-bound.ts";
import { axesOfBound, compileBound } from "./tile-evaluate.ts";
import { doesFail, doesHold, mayFail, mayHold } from "./tile-knowledge.ts";
import type { KnownVariables } from "./tile-form.ts";
import type { Axes, Tile } from "./tile-interval.ts";
import type { Knowledge } from "./tile-knowledge.ts";
import type { StridedRange, TileAttributes, TileStatus } from "./tile-range.ts";
import type { BooleanNode } from "./tree.ts";

export interface SolverOptions {
  /** Evaluations that one open tile may cost. */
  readonly effort: number;
  /** Tiles are halved at multiples of it where they can be. */
  readonly block: number;
}

/** Where pairs are tried first, as shares of the queries and of the keys: corners, then between. */
const trials = [0, 0, 1, 1, 0, 1, 1, 0, 0.5, 0.5] as const;

/** Tells of tiles of one expression that none or all of their pairs are allowed; "some" where neither can be shown. */
export class TileSolver {
  readonly #tile: Tile = {
    queryStart: 0,
    queryStep: 1,
    queryCount: 1,
    keyStart: 0,
    keyStep: 1,
    keyCount: 1,
    attributes: undefined,
    whole: true,
  };
  readonly #evaluate: () => Knowledge;
  readonly #axes: Axes;
  readonly #effort: number;
  readonly #block: number;
  /** Parts still open: queryStart, queryCount, keyStart, keyCount of each. */
  readonly #open: Int32Array;

  /** For tiles within [0, length)². */
  constructor(
    expression: BooleanNode,
    known: KnownVariables,
    length: number,
    { effort, block }: SolverOptions,
  ) {
    const bound = bind(expression, known);
    this.#axes = axesOfBound(bound);
    this.#evaluate = compileBound(bound, this.#tile, length);
    this.#effort = effort;
    this.#block = block;
    this.#open = new Int32Array(4 * (effort + 2));
  }

  status(queries: StridedRange, keys: StridedRange, attributes: TileAttributes | undefined): TileStatus {
    const tile = this.#tile;
    tile.queryStep = queries.step;
    tile.keyStep = keys.step;
    tile.attributes = attributes;
    tile.whole = true;
    const known = this.#at(queries.start, queries.count, keys.start, keys.count);
    if ((known & mayHold) === 0) return "none";
    if ((known & mayFail) === 0) return "all";
    const witnesses = known & (doesHold | doesFail);
    if (witnesses === (doesHold | doesFail)) return "some";
    tile.whole = false;
    return this.#narrow(queries, keys, witnesses);
  }

  #at(queryStart: number, queryCount: number, keyStart: number, keyCount: number): Knowledge {
    const tile = this.#tile;
    tile.queryStart = queryStart;
    tile.queryCount = queryCount;
    tile.keyStart = keyStart;
    tile.keyCount = keyCount;
    return this.#evaluate();
  }

  #narrow(queries: StridedRange, keys: StridedRange, seen: Knowledge): TileStatus {
    const both = doesHold | doesFail;
    let witnesses = seen;
    for (let at = 0; at < trials.length; at += 2) {
      const query = queries.start + queries.step * Math.floor((trials[at] ?? 0) * (queries.count - 1));
      const key = keys.start + keys.step * Math.floor((trials[at + 1] ?? 0) * (keys.count - 1));
      witnesses |= this.#at(query, 1, key, 1) & both;
      if (witnesses === both) return "some";
    }
    this.#push(0, queries.start, queries.count, keys.start, keys.count);
    let [depth, left] = [1, this.#effort];
    while (depth > 0) {
      depth--;
      const at = 4 * depth;
      const [queryStart, queryCount] = [this.#open[at] ?? 0, this.#open[at + 1] ?? 0];
      const [keyStart, keyCount] = [this.#open[at + 2] ?? 0, this.#open[at + 3] ?? 0];
      if (left-- <= 0) return "some";
      const known = this.#at(queryStart, queryCount, keyStart, keyCount);
      witnesses |= known & both;
      if (witnesses === both) return "some";
      if ((known & mayHold) === 0 || (known & mayFail) === 0) continue;
      const byQuery = this.#splitsQueries(queryCount, keyCount);
      const count = byQuery ? queryCount : keyCount;
      // One pair, and still open: an attribute is not known well enough.
      if (count === 1) return "some";
      const half = this.#half(byQuery ? queryStart : keyStart, byQuery ? queries.step : keys.step, count);
      if (byQuery) {
        this.#push(depth++, queryStart, half, keyStart, keyCount);
        this.#push(depth++, queryStart + half * queries.step, count - half, keyStart, keyCount);
      } else {
        this.#push(depth++, queryStart, queryCount, keyStart, half);
        this.#push(depth++, queryStart, queryCount, keyStart + half * keys.step, count - half);
      }
    }
    return witnesses === doesHold ? "all" : "none";
  }

  #push(depth: number, queryStart: number, queryCount: number, keyStart: number, keyCount: number): void {
    const at = 4 * depth;
    this.#open[at] = queryStart;
    this.#open[at + 1] = queryCount;
    this.#open[at + 2] = keyStart;
    this.#open[at + 3] = keyCount;
  }

  #splitsQueries(queryCount: number, keyCount: number): boolean {
    if (this.#axes === 1 || keyCount === 1) return true;
    return this.#axes !== 2 && queryCount >= keyCount && queryCount > 1;
  }

  /** How many of a range's positions go to the first half. */
  #half(start: number, step: number, count: number): number {
    const middle = count >> 1;
    if (step !== 1 || this.#block === 1) return middle;
    const cut = Math.round((start + middle) / this.#block) * this.#block - start;
    return cut > 0 && cut < count ? cut : middle;
  }
}
