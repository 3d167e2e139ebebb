/**
 * What the heads of a call attend to, tile by tile, as kernels/attention.c reads it. Tiles that allow no pair are left
 * out, those known to allow all have no mask, and equal masks are held once.
 */
import { checkAllowsSomething, disjointParts, resolvePattern, tilesOf } from "@heddle/attention";
import type {
  AttentionPattern,
  ExpressionPart,
  MaskShape,
  PatternRow,
  StatusTile,
  StridedRange,
} from "@heddle/attention";
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
  /** The most ranges of keys that a part of a head has. */
  readonly keyTiles: number;
  /** The most ranges of queries that a head of one part has, at least 1. */
  readonly queryTiles: number;
  /** Whether a head has several parts, which go on from what the earlier ones left. */
  readonly hasParts: boolean;
  free(): void;
}

/** The tiles of one part of a head's pairs, masks as numbers in a list. */
interface PartPlan {
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

/** What is the same for all parts of a head. */
interface HeadContext {
  readonly machine: Machine;
  readonly row: PatternRow;
  readonly head: number;
  readonly queryLength: number;
  readonly keyLength: number;
  readonly pool: MaskPool;
}

function planPart({ machine, pool, ...context }: HeadContext, heads: number, part: ExpressionPart): PartPlan {
  const { head, queryLength, keyLength } = context;
  const row = { ...context.row, expression: part.expression };
  const { queryOffset, attributes } = row;
  let words: MaskWords | undefined;
  /** Number of a tile's mask, -1 for none; undefined where the tile allows no pair after all. */
  const maskOf = ({ queries, keys, status }: StatusTile): number | undefined => {
    if (status !== "some") return status === "all" ? -1 : undefined;
    words ??= maskWords(machine, { ...row, head, queryLength, keyLength }, TILE.queries);
    const mask = words.of(queries, keys);
    return mask.some((bits) => bits !== 0) ? pool.add(mask) : undefined;
  };
  const call = { heads, head, queryLength, keyLength, queryOffset, attributes };
  const [queries, keys, first, tiles]: [StridedRange[], StridedRange[], number[], number[]] = [
    [],
    [],
    [],
    [],
  ];
  let [number, last]: [number, StridedRange | undefined] = [0, undefined];
  try {
    for (const tile of tilesOf(part.expression, call, TILE, part.modulus)) {
      if (tile.queries !== last) {
        last = tile.queries;
        number = 0;
        queries.push({ ...last, start: last.start - queryOffset });
        first.push(tiles.length / 2);
      }
      if (queries.length === 1) keys.push(tile.keys);
      const mask = maskOf(tile);
      if (mask !== undefined) tiles.push(number, mask);
      number++;
    }
  } finally {
    words?.dispose();
  }
  return { queries, keys, first: [...first, tiles.length / 2], tiles };
}

/** Parts of a head, each dense in an order of its own. */
function planHead(context: HeadContext, heads: number): PartPlan[] {
  const { row, head, queryLength, keyLength } = context;
  const parts = disjointParts(row.expression, { heads, queryLength, keyLength }, head);
  return parts.map((part) => planPart(context, heads, part));
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
    Array.from({ length: heads }, (_, head) => {
      const queryLength = row.queryOffset + queryRows;
      return planHead({ machine, row, head, queryLength, keyLength, pool }, shape.heads);
    }),
  );
  checkAllowsSomething(
    pattern,
    shape,
    plans.some((parts) => parts.some(({ tiles }) => tiles.length > 0)),
  );
  const [{ free }, address] = place(machine, plans, pool.masks);
  return {
    address,
    free,
    strides: [batch === 1 ? 0 : heads, heads === 1 ? 0 : 1],
    keyTiles: Math.max(...plans.flat().map(({ keys }) => keys.length)),
    hasParts: plans.some((parts) => parts.length > 1),
    queryTiles: Math.max(1, ...plans.map((parts) => (parts.length === 1 ? parts[0]!.queries.length : 1))),
  };
}

/** Plans as structs in the heap, and the list of their addresses. */
function place(
  machine: Machine,
  plans: readonly (readonly PartPlan[])[],
  masks: readonly Uint32Array[],
): [LoadedImage, number] {
  const image = new HeapImage();
  const bits = masks.map((mask) => image.put(mask));
  const ranges = (list: readonly StridedRange[]): Place =>
    image.put(list.flatMap(({ start, step, count }) => [start, step, count]));
  const words = ({ queries, keys, first, tiles }: PartPlan): (number | Place)[] => {
    // Every second word of the tiles is a mask's number; all pairs allowed is address 0.
    const placed = tiles.map((word, i) => (i % 2 === 0 ? word : word < 0 ? 0 : bits[word]!));
    return [queries.length, keys.length, ranges(queries), ranges(keys), image.put(first), image.put(placed)];
  };
  const heads = plans.map((parts) => image.put([parts.length, image.put(parts.flatMap(words))]));
  const list = image.put(heads);
  const loaded = image.load(machine);
  return [loaded, loaded.addressOf(list)];
}
