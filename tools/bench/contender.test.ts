import { wasm } from "@heddle/backend-wasm";
import { startBackend } from "@heddle/core";
import { describe, expect, it } from "vitest";
import { prepareHeddle } from "../peers/heddle.ts";
import { bundleContender } from "./bundle-contender.ts";
import { openContender } from "./contender.ts";
import { worksOf } from "./works.ts";
import type { WorkSpec } from "./works.ts";

const spec: WorkSpec = { kind: "linear", rows: 3, widths: [8, 4] };

describe("openContender", () => {
  it("computes there what it computes here, in the sources and in a bundle", async () => {
    const backend = await startBackend(wasm({ threads: 1, wide: false }));
    const here = await prepareHeddle(worksOf(spec));
    const bundle = { node: process.execPath, file: await bundleContender() };
    for (const runtime of [undefined, bundle]) {
      const contender = await openContender({ who: "heddle", threads: 1 }, runtime);
      expect(contender.started).toBeGreaterThan(0);
      const there = await contender.prepare(spec);
      expect(await there.values(1)).toEqual(await here.values(1));
      expect(await there.run(1)).toBeGreaterThan(0);
      expect(contender.description).toMatch(/^WebAssembly .*, 1 thread, tile/);
      expect(await there.heap()).toBeGreaterThan(2 ** 20);
      await there.drop();
      await contender.stop();
    }
    await here.dispose();
    await backend.dispose();
  });

  it("rejects with the reason there", async () => {
    const tfjs = openContender({ who: "tfjs", threads: 2 });
    await expect(tfjs).rejects.toThrow("tfjs must run on 1 thread in Node, got 2");
    const contender = await openContender({ who: "tfjs", threads: 1 });
    await expect(contender.prepare({ kind: "attention", length: 8, pattern: "strided 64" })).rejects.toThrow(
      "tfjs must have attention, got no form of it here",
    );
    // And goes on.
    const work = await contender.prepare(spec);
    expect(await work.values(0)).toHaveLength(12);
    expect(await work.heap()).toBeUndefined();
    await contender.stop();
  });

  it("says by what signal it ended, and can be stopped after that", async () => {
    const contender = await openContender({ who: "tfjs", threads: 1 });
    const work = await contender.prepare(spec);
    process.kill(contender.pid, "SIGKILL");
    await expect(work.values(0)).rejects.toThrow("must run tfjs, got the signal SIGKILL");
    await contender.stop();
  });
});
