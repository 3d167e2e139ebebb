import { describe, expect, it } from "vitest";
import { assumed, cardLanes, groupsOf, lanesFor, tileFor, tiles, tilesWithin } from "./calibration.ts";
import type { Calibration } from "./calibration.ts";

const [tiny, square, tall, large] = tiles as [
  (typeof tiles)[number],
  (typeof tiles)[number],
  (typeof tiles)[number],
  (typeof tiles)[number],
];

/** A card of 100 cores, on which larger tiles compute faster. */
const card: Calibration = {
  lanes: cardLanes,
  tiles: [
    { tile: tiny, group: 1, together: 400 },
    { tile: square, group: 3, together: 200 },
    { tile: tall, group: 5, together: 150 },
    { tile: large, group: 9, together: 100 },
  ],
};

const matrix = (rows: number, columns: number, batch = 1) => ({ batch, rows, columns });

describe("tileFor", () => {
  it("counts the groups of all matrices, whole ones or not", () => {
    expect(groupsOf(tall, matrix(129, 64, 3))).toBe(6);
  });

  it("takes large tiles where every core has some, and smaller ones where not", () => {
    expect(tileFor(matrix(4096, 4096), card)).toBe(large);
    expect(tileFor(matrix(1024, 1024), card)).toBe(tall);
    expect(tileFor(matrix(128, 768), card)).toBe(tiny);
    expect(tileFor(matrix(192, 768, 6), card)).toBe(square);
  });

  it("takes none that would be mostly empty", () => {
    expect(tileFor(matrix(20, 100_000), card)).toBe(tiny);
    expect(tileFor(matrix(40, 100_000), card)).toBe(square);
  });

  it("takes what a device computes fastest, whatever its size", () => {
    const costs = card.tiles.map((cost) => (cost.tile === large ? { ...cost, group: 100 } : cost));
    const slowWhenLarge = { ...card, tiles: costs };
    expect(tileFor(matrix(4096, 4096), slowWhenLarge)).toBe(tall);
    expect(tileFor(matrix(4096, 4096), { ...card, tiles: card.tiles.slice(0, 1) })).toBe(tiny);
  });

  it("takes 64 large tiles rather than 256 small ones where nothing was measured", () => {
    expect(tileFor(matrix(512, 512), assumed)).toBe(square);
    expect(tileFor(matrix(512, 448), assumed)).toBe(tiny);
    expect(tileFor(matrix(32, 8192), assumed)).toBe(tiny);
  });
});

describe("lanesFor", () => {
  it("takes as many as have long runs, and as go into workgroup memory", () => {
    expect([64, 1535, 1536, 50_000].map((inner) => lanesFor(1, inner, assumed))).toEqual([8, 8, 16, 16]);
    expect([64, 256, 768, 3072].map((inner) => lanesFor(1, inner, card))).toEqual([8, 16, 32, 64]);
    expect([4, 5, 8].map((rows) => lanesFor(rows, 3072, card))).toEqual([64, 32, 32]);
  });
});

describe("tilesWithin", () => {
  it("gives those that a device can have: the default limits allow all but the largest", () => {
    const limits = { maxComputeWorkgroupStorageSize: 16_384, maxComputeInvocationsPerWorkgroup: 256 };
    expect(tilesWithin(limits)).toEqual([tiny, square, tall]);
    expect(tilesWithin({ ...limits, maxComputeWorkgroupStorageSize: 32_768 })).toEqual(tiles);
    expect(tilesWithin({ ...limits, maxComputeInvocationsPerWorkgroup: 64 })).toEqual([tiny]);
  });
});
