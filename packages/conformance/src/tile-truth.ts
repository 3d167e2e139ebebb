/** Tile statuses against the truth: every pair of a tile counted. */
import type { StatusTile } from "@heddle/attention";

/** How often tile status was right, over tiles that were counted pair by pair. */
export interface TileScore {
  tiles: number;
  /** Tiles called "none" or "all" that are not: must stay 0. */
  unsound: number;
  /** Tiles that are all-none or all-all. */
  decidable: number;
  /** Of those, the ones that were called so. */
  decided: number;
}

/** A score before any tile is counted. */
export function emptyScore(): TileScore {
  return { tiles: 0, unsound: 0, decidable: 0, decided: 0 };
}

/** Share of the decidable tiles that were decided; 1 when there are none. */
export function decidedShare({ decidable, decided }: TileScore): number {
  return decidable === 0 ? 1 : decided / decidable;
}

/** Counts the pairs of each tile and adds what comes of it to `score`. */
export function scoreTiles(
  tiles: Iterable<StatusTile>,
  allowed: (query: number, key: number) => boolean,
  score: TileScore = emptyScore(),
): TileScore {
  for (const { queries, keys, status } of tiles) {
    let count = 0;
    for (let i = 0; i < queries.count; i++)
      for (let j = 0; j < keys.count; j++)
        if (allowed(queries.start + queries.step * i, keys.start + keys.step * j)) count++;
    const truth = count === 0 ? "none" : count === queries.count * keys.count ? "all" : "some";
    score.tiles++;
    if (truth !== "some") score.decidable++;
    if (truth !== "some" && status === truth) score.decided++;
    if (status !== "some" && status !== truth) score.unsound++;
  }
  return score;
}
