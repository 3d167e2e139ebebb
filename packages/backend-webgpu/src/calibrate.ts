/** What products cost in each tile on a graphics card, measured when the backend starts. */
import type { Engine } from "./engine.ts";
import { productInto } from "./product.ts";
import type { Tile } from "./product-tiles.ts";
import { calibrationOf, cardLanes, groupsOf, tilesWithin, useCalibration } from "./calibration.ts";
import type { TileCost, TileLimits } from "./calibration.ts";
import { createTimer } from "./timer.ts";

/** Inner steps of the products that are timed. */
const INNER = 128;
/** Milliseconds of the runs that are timed together, and how many those are at most. */
const [LONG, MOST_RUNS] = [2, 32];
const ROUNDS = 2;

/** How large a product is. */
interface Size {
  readonly rows: number;
  readonly columns: number;
}

/** What a tile costs, by the milliseconds of a product of one group and of one of `groups`. */
export function costOf(tile: Tile, times: { one: number; many: number; groups: number }): TileCost {
  const group = times.many / times.groups;
  return { tile, group, together: Math.min(times.groups, Math.max(1, times.one / group)) };
}

/**
 * Costs of all tiles that the device can have. Takes tens of milliseconds beside the compiler's. All of them add
 * in the same order.
 */
export async function measureTiles(
  engine: Engine,
  sides: readonly number[] = [256, 512, 1024, 2048],
): Promise<TileCost[]> {
  const { device } = engine;
  const most = Math.max(...sides);
  const values = (size: number) => ({ ...engine.makeTensorInfo([size], "float32"), size });
  const [a, b, y] = [values(most * INNER), values(most * INNER), values(most * most)] as const;
  const timer = createTimer(engine);
  const before = calibrationOf(device);

  /** Milliseconds of a product. */
  async function time(tile: Tile, { rows, columns }: Size, runs: number): Promise<number> {
    const call = { a, b, transposeB: true, batch: 1, rows, inner: INNER, columns };
    const taken = await timer.time(() => {
      useCalibration(device, { ...before, tiles: [costOf(tile, { one: 1, many: 1, groups: 1 })] });
      for (let run = 0; run < runs; run++) productInto(call, y);
      useCalibration(device, before);
    });
    return taken / runs;
  }

  /** Whether the device's driver takes the program; compiles it. */
  async function works(tile: Tile): Promise<boolean> {
    device.pushErrorScope("validation");
    device.pushErrorScope("internal");
    const run = time(tile, tile, 1);
    const errors = await Promise.all([device.popErrorScope(), device.popErrorScope()]);
    await run;
    return errors.every((error) => error === null);
  }

  try {
    const candidates: Tile[] = [];
    for (const tile of tilesWithin(device.limits as TileLimits)) if (await works(tile)) candidates.push(tile);
    const [first] = candidates;
    if (!first) return [];
    // The largest product that the device does in a moment.
    let side = sides[0]!;
    for (const larger of sides.slice(1)) {
      if ((await time(first, { rows: side, columns: side }, 1)) > LONG / 4) break;
      side = larger;
    }
    const many = { rows: side, columns: side };
    const timed = candidates.map((tile) => ({ tile, one: Infinity, many: Infinity }));
    // In turns, since a card takes a while to be at its fastest.
    for (let round = 0; round < ROUNDS; round++)
      for (const own of timed)
        for (const [name, size] of [
          ["one", own.tile],
          ["many", many],
        ] as const) {
          const known = round === 0 ? await time(own.tile, size, 1) : own[name];
          const runs = Math.min(MOST_RUNS, Math.max(1, Math.ceil(LONG / known)));
          own[name] = Math.min(own[name], await time(own.tile, size, runs));
        }
    return timed.map(({ tile, ...times }) =>
      costOf(tile, { ...times, groups: groupsOf(tile, { batch: 1, ...many }) }),
    );
  } finally {
    timer.dispose();
    for (const { dataId } of [a, b, y]) engine.disposeData(dataId);
  }
}

/** Calibrates a graphics card: from then on its products are divided by what was measured. */
export async function calibrate(engine: Engine): Promise<void> {
  const tiles = await measureTiles(engine);
  // A clock that stands still tells nothing.
  const isMeasured = tiles.length > 0 && tiles.every(({ group }) => group > 0);
  const { device } = engine;
  useCalibration(device, { tiles: isMeasured ? tiles : calibrationOf(device).tiles, lanes: cardLanes });
}
