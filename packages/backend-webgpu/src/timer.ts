/** Times what a device does: by its own clock where it shows one, else by ours. */
import type { Engine } from "./engine.ts";
import { withEngine } from "./engine.ts";
import type { ComputeDevice } from "./gpu.ts";

/** Times programs. */
export interface Timer {
  /** Milliseconds that the programs take that `record` runs: no more than go into one submit. */
  time(record: () => void): Promise<number>;
  dispose(): void;
}

/** Where a device writes its time at the begin and the end of a pass, 8 bytes each. */
function createClock(device: ComputeDevice) {
  const BYTES = 16;
  const [mapRead, copySource, copyTarget, queryResolve] = [0x1, 0x4, 0x8, 0x200];
  const querySet = device.createQuerySet({ type: "timestamp", count: 2 });
  const times = device.createBuffer({ size: BYTES, usage: queryResolve | copySource });
  const shown = device.createBuffer({ size: BYTES, usage: mapRead | copyTarget });
  return {
    pass: { timestampWrites: { querySet, beginningOfPassWriteIndex: 0, endOfPassWriteIndex: 1 } },
    keep({ commandEncoder }: Engine): void {
      commandEncoder.resolveQuerySet(querySet, 0, 2, times, 0);
      commandEncoder.copyBufferToBuffer(times, 0, shown, 0, BYTES);
    },
    /** Milliseconds from the begin to the end, once they are known. */
    async read(): Promise<number> {
      await shown.mapAsync(mapRead);
      const [begin, end] = new BigInt64Array(shown.getMappedRange());
      shown.unmap();
      return Number(end! - begin!) / 1e6;
    },
    dispose: () => [querySet, times, shown].forEach((own) => own.destroy()),
  };
}

/** A timer for the programs of an engine. */
export function createTimer(engine: Engine): Timer {
  const { device } = engine;
  const clock = device.features.has("timestamp-query") ? createClock(device) : undefined;
  return {
    async time(record) {
      engine.endComputePassEncoder();
      engine.ensureCommandEncoderReady();
      engine.computePassEncoder = engine.commandEncoder.beginComputePass(clock?.pass);
      withEngine(engine, record);
      engine.endComputePassEncoder();
      clock?.keep(engine);
      const start = performance.now();
      engine.submitQueue();
      await device.queue.onSubmittedWorkDone();
      const ours = performance.now() - start;
      const own = await clock?.read();
      // Clocks may be too coarse.
      return own !== undefined && own > 0 ? own : ours;
    },
    dispose: () => clock?.dispose(),
  };
}
