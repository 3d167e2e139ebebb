/** What the active backend, which has to be `webgpu`, gives its device to do. */
import * as tf from "@tensorflow/tfjs-core";
import { activeBackend } from "@heddle/core";
import type { Model } from "@heddle/models";

/** What tfjs's backend is made of, as far as it is counted here. */
interface Counted {
  readonly dispatchCountInPass: number;
  readonly device: { readonly queue: { submit(commands: readonly object[]): void } };
  readonly bufferManager: { acquireBuffer(size: number, usage: number, ...more: unknown[]): object };
}

const counted = (): Counted => tf.backend() as unknown as Counted;

/** Programs of a forward pass without its logits; no more than go into one submit. */
async function passDispatches(model: Model): Promise<number> {
  const ids = [1, 2, 3];
  // Packs the weights.
  model.forward({ ids }).dispose();
  await activeBackend()!.finish();
  model.forward({ ids }, { logits: "none" }).dispose();
  model.dispose();
  return counted().dispatchCountInPass;
}

/** Programs that a layer takes in inference. */
export async function layerDispatches(make: (layers: number) => Model): Promise<number> {
  const [one, three] = [await passDispatches(make(1)), await passDispatches(make(3))];
  return (three - one) / 2;
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
