/**
 * What the heads of a call attend to, tile by tile, as kernels/attention.c reads it. Tiles that allow no pair are left
 * out, those that allow all have no mask, and equal masks are held once.
 */
import { checkAllowsSomething, densePermutation, resolvePattern, tilesOf } from "@heddle/attention";
import type { AttentionPattern, MaskShape, PatternRow, StatusTile, StridedRange } from "@heddle/attention";
import { HeapImage } from "./heap-image.ts";
import type { LoadedImage, Place } from "./heap-image.ts";
import type { Machine } from "./machine.ts";
import { maskWords } from "./mask-words.ts";
import type { MaskWords } from "./mask-words.ts";

/** Greatest numbers of queries and keys of a tile: those of kernels/attention.c. */
const TILE = { queries: 24, keys: 64 } as const;

/** A plan in the heap. */
export interface AttentionPlan {
  /** Where the addresses of the heads' plans are. */
  readonly address: number;
  /** Entries from one batch row to the next, and from one head to the next; 0 where they are alike. */
  readonly strides: readonly [batch: number, head: number];
  /** The most ranges of keys that a head has. */
  readonly keyTiles: number;
  readonly bytes: number;
  free(): void;
}

/** The tiles of one head, masks as numbers in a list. */
interface HeadPlan {
  readonly queries: readonly StridedRange[];
  readonly keys: readonly StridedRange[];
  /** Where the tiles of each range of queries begin, and where the last ends. */
  readonly first: readonly number[];
  /** Pairs: number of the range of keys, number of the mask or -1. */
  readonly tiles: readonly number[];
}

/** Masks by their bits, each once. */
class MaskPool {
  readonly masks: Uint32Array[] = [];
  readonly #known = new Map<string, number>();

  add(mask: Uint32Array): number {
    const key = String.fromCharCode(...new Uint16Array(mask.buffer));
    const known = this.#known.get(key) ?? this.masks.push(mask) - 1;
    this.#known.set(key, known);
    return known;
  }
}

function planHead(
  machine: Machine,
  row: PatternRow,
  {
    head,
    heads,
    queryRows,
    keyLength,
  }: { head: number; heads: number; queryRows: number; keyLength: number },
  pool: MaskPool,
): HeadPlan {
  const { expression, queryOffset, attributes } = row;
  const queryLength = queryOffset + queryRows;
  const shape = { heads, queryLength, keyLength };
  const modulus = densePermutation(expression, shape, head)?.modulus ?? 1;
  let words: MaskWords | undefined;
  const maskOf = (tile: StatusTile): number => {
    words ??= maskWords(machine, { ...row, head, queryLength, keyLength }, TILE.queries);
    return pool.add(words.of(tile.queries, tile.keys));
  };
  const [queries, keys, first, tiles]: [StridedRange[], StridedRange[], number[], number[]] = [
    [],
    [],
    [],
    [],
  ];
  let [number, last]: [number, StridedRange | undefined] = [0, undefined];
  try {
    for (const tile of tilesOf(expression, { ...shape, head, queryOffset, attributes }, TILE, modulus)) {
      if (tile.queries !== last) {
        last = tile.queries;
        number = 0;
        queries.push({ ...last, start: last.start - queryOffset });
        first.push(tiles.length / 2);
      }
      if (queries.length === 1) keys.push(tile.keys);
      if (tile.status !== "none") tiles.push(number, tile.status === "all" ? -1 : maskOf(tile));
      number++;
    }
  } finally {
    words?.dispose();
  }
  return { queries, keys, first: [...first, tiles.length / 2], tiles };
}

/**
 * Plans a call.
 * @throws HeddleError `invalid-argument` for a pattern that allows nothing, or an attribute that is missing.
 */
export function planAttention(machine: Machine, pattern: AttentionPattern, shape: MaskShape): AttentionPlan {
  const { queryRows, keyLength } = shape;
  const { batch, heads, rows } = resolvePattern(pattern, shape);
  const pool = new MaskPool();
  const plans = rows.flatMap((row) =>
    Array.from({ length: heads }, (_, head) =>
      planHead(machine, row, { head, heads: shape.heads, queryRows, keyLength }, pool),
    ),
  );
  checkAllowsSomething(
    pattern,
    shape,
    plans.some(({ tiles }) => tiles.length > 0),
  );
  const [{ bytes, free }, address] = place(machine, plans, pool.masks);
  return {
    address,
    bytes,
    free,
    strides: [batch === 1 ? 0 : heads, heads === 1 ? 0 : 1],
    keyTiles: Math.max(...plans.map(({ keys }) => keys.length)),
  };
}

/** Plans as structs in the heap, and the list of their addresses. */
function place(
  machine: Machine,
  plans: readonly HeadPlan[],
  masks: readonly Uint32Array[],
): [LoadedImage, number] {
  const image = new HeapImage();
  const bits = masks.map((mask) => image.put(mask));
  const ranges = (list: readonly StridedRange[]): Place =>
    image.put(list.flatMap(({ start, step, count }) => [start, step, count]));
  const structs = plans.map(({ queries, keys, first, tiles }) => {
    // Every second word of the tiles is a mask's number; all pairs allowed is address 0.
    const words = tiles.map((word, i) => (i % 2 === 0 ? word : word < 0 ? 0 : bits[word]!));
    return image.put([
      queries.length,
      keys.length,
      ranges(queries),
      ranges(keys),
      image.put(first),
      image.put(words),
    ]);
  });
  const list = image.put(structs);
  const loaded = image.load(machine);
  return [loaded, loaded.addressOf(list)];
}
