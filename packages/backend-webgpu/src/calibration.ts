/** How a product is divided among invocations, by what is known of the device: measured, or assumed. */
import type { ComputeDevice } from "./gpu.ts";
import type { Tile } from "./product-tiles.ts";

/** The larger a tile, the less is read for a product, and the fewer groups there are for a card's cores. */
export const tiles: readonly Tile[] = [
  { rows: 32, columns: 32, inner: 16, own: [4, 4] },
  { rows: 64, columns: 64, inner: 16, own: [8, 4] },
  { rows: 128, columns: 64, inner: 16, own: [8, 8] },
  { rows: 128, columns: 128, inner: 16, own: [8, 8] },
];

/** What a device takes to compute in a tile. */
export interface TileCost {
  readonly tile: Tile;
  /** Time of a group where there are enough, in any unit. */
  readonly group: number;
  /** Groups that take as long as a single one: with fewer, cores have nothing to do. */
  readonly together: number;
}

/** What decides how products are divided on a device. */
export interface Calibration {
  /** At least one. */
  readonly tiles: readonly TileCost[];
  /** Of products of few rows: invocations that share a sum at most, and values that each has at least. */
  readonly lanes: { readonly most: number; readonly run: number };
}

/** Of a device that was not measured, as software: two tiles, the larger where there are 64, and few invocations. */
export const assumed: Calibration = {
  tiles: [
    { tile: tiles[0]!, group: 1, together: 1 },
    { tile: tiles[1]!, group: 3.9, together: 64 },
  ],
  lanes: { most: 16, run: 96 },
};

/** Of graphics cards, which need many to read at once. Not measured: how a sum is shared decides how it is rounded. */
export const cardLanes: Calibration["lanes"] = { most: 64, run: 16 };

/** What the choice depends on. */
export interface ProductShape {
  readonly batch: number;
  readonly rows: number;
  readonly columns: number;
}

/** How many groups compute a product. */
export const groupsOf = ({ rows, columns }: Tile, shape: ProductShape): number =>
  shape.batch * Math.ceil(shape.rows / rows) * Math.ceil(shape.columns / columns);

/** The tile that takes the least time; the first of those that tie. */
export function tileFor(shape: ProductShape, { tiles: costs }: Calibration): Tile {
  const time = ({ tile, group, together }: TileCost): number =>
    group * Math.max(together, groupsOf(tile, shape));
  return costs.reduce((best, cost) => (time(cost) < time(best) ? cost : best)).tile;
}

/** Invocations that share a sum of so many values in a product of so many rows, of 8 at most. */
export function lanesFor(rows: number, inner: number, { lanes: { most, run } }: Calibration): number {
  let lanes = 8;
  // All sums of a group are in 16 KiB of workgroup memory.
  while (2 * lanes <= Math.min(most, 256 / rows) && inner >= 2 * lanes * run) lanes *= 2;
  return lanes;
}

/** Limits of a device that decide which tiles it can have. */
export type TileLimits = Readonly<
  Record<"maxComputeWorkgroupStorageSize" | "maxComputeInvocationsPerWorkgroup", number>
>;

/** Those that a device can have, however the factors lie in memory. */
export function tilesWithin(limits: TileLimits): Tile[] {
  return tiles.filter(({ rows, columns, inner, own }) => {
    const bytes = 16 * (rows + columns) * (inner / 4 + 1);
    const invocations = (rows / own[0]) * (columns / own[1]);
    return (
      bytes <= limits.maxComputeWorkgroupStorageSize &&
      invocations <= limits.maxComputeInvocationsPerWorkgroup
    );
  });
}

const known = new WeakMap<ComputeDevice, Calibration>();

/** From now on a device's products are divided by this. */
export function useCalibration(device: ComputeDevice, calibration: Calibration): void {
  known.set(device, calibration);
}

/** That of a device, measured or assumed. */
export const calibrationOf = (device: ComputeDevice): Calibration => known.get(device) ?? assumed;
