import { checkFields, checkInteger, checkOneOf, randomStream, reject } from "@heddle/core";
import { anyOf, lookupTable } from "../expression/builders.ts";
import type { BooleanExpression } from "../expression/builders.ts";
import { pattern } from "../expression/pattern.ts";
import { fillTable } from "../expression/table.ts";
import type { AttentionPattern, BooleanTable } from "../expression/tree.ts";

export interface BigBirdOptions {
  /** Tokens of a block. */
  readonly block: number;
  /** Blocks of the sliding window, the query's own in the middle: an odd number, the paper's w. */
  readonly window: number;
  /** Blocks at the start that are seen by all and see all: the paper's g. */
  readonly global: number;
  /** Random blocks that each query block of each head sees besides: the paper's r. */
  readonly random: number;
  /** Seed of the random blocks. */
  readonly seed: number;
  /**
   * `"both"` draws among all blocks of the sequence, so that they depend on its length; `"past"` allows nothing
   * after the query and draws among earlier blocks, the same at every length: for decoders. @default "both"
   */
  readonly direction?: "past" | "both";
}

/**
 * Window, global and random blocks: BigBird, https://arxiv.org/abs/2007.14062 §2, in blocks as in appendix D.
 * The random blocks of a head and a query block are drawn without repetition among those that neither the window
 * nor the global blocks cover (all of them where fewer than `random` are left).
 */
export function bigBird(options: BigBirdOptions): AttentionPattern {
  checkFields("bigBird: options", options, ["block", "window", "global", "random", "seed", "direction"]);
  const { block, window, global, random, seed, direction = "both" } = options;
  checkInteger("bigBird: block", block, { min: 1, max: 2 ** 20 });
  if (!Number.isInteger(window) || window < 1 || window >= 2 ** 20 || window % 2 === 0)
    reject("bigBird: window", "be an odd integer from 1 to 1048575", window);
  checkInteger("bigBird: global", global, { min: 0, max: 2 ** 20 });
  checkInteger("bigBird: random", random, { min: 0, max: 2 ** 20 });
  checkInteger("bigBird: seed", seed, { min: 0 });
  checkOneOf("bigBird: direction", direction, ["past", "both"]);
  const settled = { block, window, global, random, seed, direction };
  const half = (window - 1) / 2;
  const past = direction === "past";

  const made = new Map<string, BooleanExpression>();
  return pattern(
    "big-bird",
    settled,
    ({ query, key }, { heads, queryLength, keyLength }) => {
      const [rows, columns] = [blocks(queryLength, settled), blocks(keyLength, settled)];
      const size = `${heads} ${rows} ${columns}`;
      const known = made.get(size);
      if (known) return known;
      const [row, column] = [query.dividedBy(block), key.dividedBy(block)];
      const parts = [column.minus(row).between(-half, past ? 0 : half)];
      if (global > 0) parts.push(column.isLess(global));
      if (global > 0 && !past) parts.push(row.isLess(global));
      if (random > 0)
        parts.push(lookupTable(randomBlocks(settled, { heads, rows, columns }), { row, column }));
      const seen = anyOf(parts);
      const expression = past ? key.isAtMost(query).and(seen) : seen;
      const [oldest] = made.keys();
      if (made.size >= keptSizes && oldest !== undefined) made.delete(oldest);
      made.set(size, expression);
      return expression;
    },
    { prefixStable: past || random === 0 },
  );
}

/** How many sizes of tables a pattern keeps. */
const keptSizes = 4;

/** Blocks of a length. Looking at the past, a power of two from 16 on: a table serves many steps of decoding. */
function blocks(length: number, { block, random, direction }: Required<BigBirdOptions>): number {
  if (random === 0) return 1;
  const needed = Math.max(1, Math.ceil(length / block));
  return direction === "both" ? needed : Math.max(16, 2 ** Math.ceil(Math.log2(needed)));
}

/** Entries that a table of random blocks may have. */
const greatestEntries = 2 ** 24;

interface TableSize {
  readonly heads: number;
  readonly rows: number;
  readonly columns: number;
}

function randomBlocks(options: Required<BigBirdOptions>, { heads, rows, columns }: TableSize): BooleanTable {
  const { block, window, global, random, seed, direction } = options;
  const half = (window - 1) / 2;
  const entries = heads * rows * columns;
  if (entries > greatestEntries)
    reject("bigBird: block", `leave at most ${greatestEntries} entries for random blocks`, {
      block,
      entries,
    });
  const table = fillTable({ heads, rows, columns }, () => false);
  for (let head = 0; head < heads; head++)
    for (let row = 0; row < rows; row++) {
      const candidates: number[] = [];
      const end = direction === "past" ? row : columns;
      for (let column = global; column < end; column++)
        if (Math.abs(column - row) > half) candidates.push(column);
      const stream = randomStream({ seed, path: `big-bird.head${head}`, step: row });
      for (let drawn = 0; drawn < random && candidates.length > 0; drawn++) {
        const at = stream.integer(drawn, candidates.length);
        const column = candidates[at]!;
        candidates[at] = candidates.at(-1)!;
        candidates.pop();
        if (column < columns) table.bits[(head * rows + row) * columns + column] = 1;
      }
    }
  return table;
}
