/** What the active backend, which has to be `webgpu`, gives its device to do. */
import * as tf from "@tensorflow/tfjs-core";
import { activeBackend } from "@heddle/core";

/** What tfjs's backend is made of, as far as it is counted here. */
interface Counted {
  readonly dispatchCountInPass: number;
  readonly device: { readonly queue: { submit(commands: readonly object[]): void } };
  readonly bufferManager: { acquireBuffer(size: number, usage: number, ...more: unknown[]): object };
}

const counted = (): Counted => tf.backend() as unknown as Counted;

/** Programs that `pass` records; no more than go into one submit. */
export async function dispatchesOf(pass: () => void): Promise<number> {
  await activeBackend()!.finish();
  pass();
  return counted().dispatchCountInPass;
}

/** Submits, and how many bytes are read back at a time. */
export interface DeviceCounts {
  readonly submits: number;
  readonly reads: readonly number[];
}

/** Counts from now on. */
export interface DeviceCounter {
  /** Those since the last time that it was asked. */
  take(): DeviceCounts;
  stop(): void;
}

/** In WebGPU, the usage of a buffer that values are read from. */
const MAP_READ = 1;

/** Starts counting. */
export function countDevice(): DeviceCounter {
  const { device, bufferManager } = counted();
  const { queue } = device;
  const [submit, acquire] = [queue.submit, bufferManager.acquireBuffer];
  let submits = 0;
  let reads: number[] = [];
  queue.submit = (commands) => {
    submits++;
    submit.call(queue, commands);
  };
  bufferManager.acquireBuffer = (size, usage, ...more) => {
    if ((usage & MAP_READ) !== 0) reads.push(size);
    return acquire.call(bufferManager, size, usage, ...more);
  };
  return {
    take() {
      const counts = { submits, reads };
      [submits, reads] = [0, []];
      return counts;
    },
    stop() {
      Reflect.deleteProperty(queue, "submit");
      Reflect.deleteProperty(bufferManager, "acquireBuffer");
    },
  };
}
