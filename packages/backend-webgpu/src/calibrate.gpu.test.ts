import { useBackend } from "@heddle/conformance";
import { startBackend } from "@heddle/core";
import { describe, expect, it, vi } from "vitest";
import { costOf, measureTiles } from "./calibrate.ts";
import type { TileLimits } from "./calibration.ts";
import { engine } from "./engine.ts";
import { assumed, calibrationOf, cardLanes, tiles } from "./calibration.ts";
import type { ComputeDevice, Gpu } from "./gpu.ts";
import { webgpu } from "./webgpu.ts";

describe("measureTiles", () => {
  useBackend("webgpu");

  it.each([
    ["the device's", true],
    ["our", false],
  ])("gives what each tile costs by %s clock, and leaves the device as it was", async (_, hasClock) => {
    const own = engine();
    const before = calibrationOf(own.device);
    const has = vi.spyOn(own.device.features, "has").mockReturnValue(hasClock);
    const costs = await measureTiles(own, [64, 128]).finally(() => has.mockRestore());
    expect(costs.map(({ tile }) => tile)).toEqual(tiles);
    for (const { group, together } of costs) {
      expect(group).toBeGreaterThan(0);
      expect(together).toBeGreaterThanOrEqual(1);
      expect(together).toBeLessThanOrEqual(16);
    }
    expect(calibrationOf(own.device)).toBe(before);
  });

  it("leaves out a tile that the driver refuses", async () => {
    const own = engine();
    const pop = vi
      .spyOn(own.device, "popErrorScope")
      .mockResolvedValueOnce({ message: "too many registers" });
    try {
      const costs = await measureTiles(own, [64]);
      expect(costs.map(({ tile }) => tile)).toEqual(tiles.slice(1));
    } finally {
      pop.mockRestore();
    }
  });
});

describe("costOf", () => {
  it("is the time of one of many groups, and how many take as long as one", () => {
    const tile = tiles[0]!;
    expect(costOf(tile, { one: 6, many: 200, groups: 100 })).toEqual({ tile, group: 2, together: 3 });
    expect(costOf(tile, { one: 1, many: 200, groups: 100 }).together).toBe(1);
    expect(costOf(tile, { one: 300, many: 200, groups: 100 }).together).toBe(100);
  });
});

describe("webgpu", () => {
  it.each([true, false])(
    "measures a graphics card when it starts, and no software: software %s",
    async (isSoftware) => {
      const { gpu } = navigator as unknown as { gpu: Gpu };
      const adapter = await gpu.requestAdapter({});
      const { maxComputeWorkgroupStorageSize } = adapter!.limits as TileLimits;
      const device = await adapter!.requestDevice({
        requiredFeatures: [],
        requiredLimits: { maxComputeWorkgroupStorageSize },
      });
      const isFallbackAdapter = isSoftware;
      Object.defineProperty(device, "adapterInfo", { value: { ...adapter!.info, isFallbackAdapter } });
      const backend = await startBackend(webgpu({ device }));
      const { lanes, tiles: costs } = calibrationOf(device as unknown as ComputeDevice);
      expect(lanes).toEqual(isSoftware ? assumed.lanes : cardLanes);
      expect(costs).toHaveLength(isSoftware ? assumed.tiles.length : tiles.length);
      await backend.dispose();
      device.destroy();
    },
  );
});
