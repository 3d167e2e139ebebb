/** Boolean tables over tiles: any and all of the entries that a tile reaches, by two-dimensional prefix counts. */
import { axesOf, compileForm } from "./tile-interval.ts";
import { allHold, mixed, noneHold, nothingKnown } from "./tile-knowledge.ts";
import { tableEntry } from "./evaluate.ts";
import type { Bound } from "./tile-bound.ts";
import type { Interval, Tile } from "./tile-interval.ts";
import type { Knowledge } from "./tile-knowledge.ts";
import type { BooleanTable } from "./tree.ts";

/** Entries reached with steps are looked at one by one up to so many. */
const greatestScan = 4096;

const counted = new WeakMap<BooleanTable, Map<number, Int32Array>>();

/** Counts of the true entries above and left of each entry, of one head: [rows + 1, columns + 1]. */
function countsOf(table: BooleanTable, head: number): Int32Array {
  let heads = counted.get(table);
  if (!heads) counted.set(table, (heads = new Map()));
  let counts = heads.get(head);
  if (counts) return counts;
  const { rows, columns, bits } = table;
  const width = columns + 1;
  counts = new Int32Array((rows + 1) * width);
  for (let row = 0; row < rows; row++) {
    let inRow = 0;
    for (let column = 0; column < columns; column++) {
      inRow += bits[(head * rows + row) * columns + column] ?? 0;
      counts[(row + 1) * width + column + 1] = inRow + (counts[row * width + column + 1] ?? 0);
    }
  }
  heads.set(head, counts);
  return counts;
}

/** Compiles a table lookup over the tile at hand. */
export function compileTable(bound: Bound & { readonly kind: "table" }, tile: Tile): () => Knowledge {
  const { table } = bound;
  const [head, row, column] = [bound.head, bound.row, bound.column].map((form) => compileForm(form, tile));
  if (!head || !row || !column) throw new TypeError("a table has three indices");
  const apart = (axesOf(bound.row) & axesOf(bound.column)) === 0;
  return () => {
    const [heads, rows, columns] = [head(), row(), column()];
    const free = apart || rows.step === 0 || columns.step === 0;
    const exact = free && rows.exact && columns.exact;
    if (heads.step === 0) return inHead(table, heads.low, rows, columns, exact);
    const [from, to] = [Math.max(heads.low, 0), Math.min(heads.high, table.heads - 1)];
    if (from > to) return noneHold;
    let [any, every] = [false, from === heads.low && to === heads.high];
    for (let at = from; at <= to; at++) {
      const known = inHead(table, at, rows, columns, false);
      any ||= known !== noneHold;
      every &&= known === allHold;
    }
    return every ? allHold : any ? nothingKnown : noneHold;
  };
}

function inHead(
  table: BooleanTable,
  head: number,
  rows: Interval,
  columns: Interval,
  exact: boolean,
): Knowledge {
  if (head < 0 || head >= table.heads) return noneHold;
  const [top, bottom] = [Math.max(rows.low, 0), Math.min(rows.high, table.rows - 1)];
  const [left, right] = [Math.max(columns.low, 0), Math.min(columns.high, table.columns - 1)];
  if (top > bottom || left > right) return noneHold;
  const counts = countsOf(table, head);
  const width = table.columns + 1;
  const at = (r: number, c: number): number => counts[r * width + c] ?? 0;
  const holding = at(bottom + 1, right + 1) - at(top, right + 1) - at(bottom + 1, left) + at(top, left);
  if (holding === 0) return noneHold;
  const inside = top === rows.low && bottom === rows.high && left === columns.low && right === columns.high;
  if (inside && holding === (bottom - top + 1) * (right - left + 1)) return allHold;
  if (rows.step > 1 || columns.step > 1) return scan(table, head, rows, columns, exact);
  return exact ? mixed : nothingKnown;
}

function scan(
  table: BooleanTable,
  head: number,
  rows: Interval,
  columns: Interval,
  exact: boolean,
): Knowledge {
  const [down, across] = [Math.max(rows.step, 1), Math.max(columns.step, 1)];
  const size = ((rows.high - rows.low) / down + 1) * ((columns.high - columns.low) / across + 1);
  if (size > greatestScan) return nothingKnown;
  let [holding, seen] = [0, 0];
  for (let r = rows.low; r <= rows.high; r += down)
    for (let c = columns.low; c <= columns.high; c += across) {
      seen++;
      if (tableEntry(table, head, r, c)) holding++;
      if (holding !== 0 && holding !== seen) return exact ? mixed : nothingKnown;
    }
  return holding === 0 ? noneHold : allHold;
}
