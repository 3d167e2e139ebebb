/** The tiles of a call: every pair in one tile, each with its status. */
import { checkInteger } from "@heddle/core";
import { preferredBlock } from "./tile-block.ts";
import { attributeRange } from "./tile-range.ts";
import { compileTileStatus } from "./tile-status.ts";
import { reads } from "./tree.ts";
import type { FrameAttributes } from "./compile.ts";
import type { AttributeRange, StridedRange, TileStatus } from "./tile-range.ts";
import type { BooleanNode, PatternShape } from "./tree.ts";

/** Greatest numbers of positions of a tile. */
export interface TileSize {
  readonly queries: number;
  readonly keys: number;
}

/** The call that is tiled: one head of one batch row. */
export interface TiledCall extends PatternShape {
  /** @default 0 */
  readonly head?: number;
  /** Position of the first query row. @default 0 */
  readonly queryOffset?: number;
  /** Token attributes: of queries by row, of keys by position. @default none known */
  readonly attributes?: FrameAttributes;
}

/** A tile and what is known of its pairs. */
export interface StatusTile {
  readonly queries: StridedRange;
  readonly keys: StridedRange;
  readonly status: TileStatus;
}

/**
 * The tiles of a call, by query and then by key; every pair of a row and a key lies in one of them. With a modulus
 * above 1, tiles hold positions of one residue, in steps of it. With modulus 1, query tiles are cut at multiples of
 * {@link preferredBlock}.
 */
export function* tilesOf(
  expression: BooleanNode,
  call: TiledCall,
  size: TileSize,
  modulus = 1,
): Generator<StatusTile, void, undefined> {
  const { queryLength, keyLength, queryOffset = 0, head = 0, attributes } = call;
  checkInteger("tilesOf: queries", size.queries, { min: 1 });
  checkInteger("tilesOf: keys", size.keys, { min: 1 });
  checkInteger("tilesOf: modulus", modulus, { min: 1 });
  checkInteger("tilesOf: queryOffset", queryOffset, { min: 0, max: queryLength });
  const status = compileTileStatus(expression);
  const names = reads(expression).attributes;
  const block = modulus === 1 ? preferredBlock(expression) : 1;
  const keyTiles = ranges(0, keyLength, size.keys, modulus, 1).map((keys) => ({
    keys,
    key: rangesOf(names.key, attributes?.key, keys, 0),
  }));
  for (const queries of ranges(queryOffset, queryLength, size.queries, modulus, block)) {
    const query = rangesOf(names.query, attributes?.query, queries, queryOffset);
    for (const { keys, key } of keyTiles)
      yield {
        queries,
        keys,
        status: status(queries, keys, { head, queryLength, keyLength, attributes: { query, key } }),
      };
  }
}

function rangesOf(
  names: ReadonlySet<string>,
  values: Readonly<Record<string, Int32Array>> | undefined,
  range: StridedRange,
  offset: number,
): Record<string, AttributeRange> {
  const found: [string, AttributeRange][] = [];
  for (const name of names) {
    const known = values && Object.hasOwn(values, name) ? values[name] : undefined;
    if (known) found.push([name, attributeRange({ values: known, offset }, range)]);
  }
  return Object.fromEntries(found);
}

/** Positions from `start` to `end`, grouped by residue and cut to `size`, and at whole blocks where a block is given. */
function ranges(start: number, end: number, size: number, modulus: number, block: number): StridedRange[] {
  const found: StridedRange[] = [];
  const unit = block > size ? block : Math.floor(size / block) * block;
  for (let group = start; group < Math.min(start + modulus, end); group++) {
    const positions = Math.ceil((end - group) / modulus);
    for (let at = 0; at < positions;) {
      const left = block === 1 ? size : unit - ((start + at) % unit);
      const count = Math.min(size, left, positions - at);
      found.push({ start: group + modulus * at, step: modulus, count });
      at += count;
    }
  }
  return found;
}
