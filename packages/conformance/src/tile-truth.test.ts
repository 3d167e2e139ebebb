import { describe, expect, it } from "vitest";
import { decidedShare, emptyScore, scoreTiles } from "./tile-truth.ts";
import type { TileStatus } from "@heddle/attention";

/** Causal, on 2 x 2 tiles of four tokens, with the statuses of the four tiles as given. */
function score(statuses: readonly TileStatus[]) {
  const tiles = statuses.map((status, at) => ({
    queries: { start: 2 * (at >> 1), step: 1, count: 2 },
    keys: { start: 2 * (at & 1), step: 1, count: 2 },
    status,
  }));
  return scoreTiles(tiles, (query, key) => key <= query);
}

describe("scoreTiles", () => {
  it("counts what is decidable and decided", () => {
    expect(score(["some", "none", "all", "some"])).toEqual({
      tiles: 4,
      unsound: 0,
      decidable: 2,
      decided: 2,
    });
    const half = score(["some", "some", "all", "some"]);
    expect(half).toEqual({ tiles: 4, unsound: 0, decidable: 2, decided: 1 });
    expect(decidedShare(half)).toBe(0.5);
    expect(decidedShare(emptyScore())).toBe(1);
  });

  it("finds each kind of wrong answer", () => {
    expect(score(["all", "none", "all", "some"]).unsound).toBe(1);
    expect(score(["none", "none", "all", "some"]).unsound).toBe(1);
    expect(score(["some", "all", "all", "some"]).unsound).toBe(1);
    expect(score(["some", "none", "none", "some"]).unsound).toBe(1);
  });
});
