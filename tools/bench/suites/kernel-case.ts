/** Cases of one operation: its kernel against the reference composition that it replaces. */
import * as tf from "@tensorflow/tfjs-core";
import type { Tensor } from "@tensorflow/tfjs-core";
import { activeBackend, differentiate, randomStream, run, withKernels } from "@heddle/core";
import type { Operation } from "@heddle/core";
import { setsBeyondCaches } from "../data.ts";
import type { Contender } from "../measure.ts";
import type { BenchCase } from "../suite.ts";

/** How large the cases are. */
export interface KernelSizes {
  /** Tokens. */
  readonly rows: number;
  readonly width: number;
  readonly heads: number;
  readonly vocabulary: number;
}

/** A head's width. */
export const HEAD = 64;

/** Draws an input of a case. */
export type Draw = (part: string, ...shape: number[]) => Tensor;

/** Milliseconds of passes that are timed together, how many those are at most, and after how many runs they are known. */
const [LONG, MOST_PASSES, TELLING] = [24, 32, 3];

/**
 * Makes the contenders of a case, the first of which is ours. A run is over when the device has done it; where one of
 * ours takes a moment, all do some one after the other, as layers follow each other: waking a device costs as much.
 */
export function contenders(
  sets: number,
  mostPasses = MOST_PASSES,
): (pass: (set: number) => void) => Contender["run"] {
  let passes = 1;
  let made = 0;
  return (pass) => {
    const isOurs = made++ === 0;
    let [runs, least] = [0, Infinity];
    return async (first) => {
      const start = performance.now();
      for (let set = first; set < first + passes; set++) pass(set % sets);
      await activeBackend()!.finish();
      const time = (performance.now() - start) / passes;
      if (isOurs && ++runs === TELLING) passes = Math.min(mostPasses, Math.max(1, Math.round(LONG / least)));
      return time;
    };
  };
}

/** One operation over drawn inputs: its forward pass, and with the gradients of all its inputs if it has any. */
export function* casesOf<C extends object>(
  name: string,
  operation: Operation<C>,
  makeCall: (draw: Draw) => C,
  /** The forward pass as a user of tfjs writes it, where that is faster than the reference. */
  tfjs?: (call: C) => Tensor,
): Generator<BenchCase> {
  const makeSet = (set: number): C =>
    makeCall((part, ...shape) => {
      const size = shape.reduce((product, length) => product * length, 1);
      return tf.tensor(randomStream({ seed: set, path: `${name}/${part}` }).uniforms(size), shape);
    });
  const tensorsOf = (call: C): Tensor[] => Object.values(operation.inputs(call));
  for (const backward of operation.reference.gradient ? [false, true] : [false]) {
    const first = makeSet(0);
    const bytes = tensorsOf(first).reduce((sum, { size }) => sum + 4 * size, 0);
    const sets = [first];
    for (let set = 1; set < setsBeyondCaches(bytes); set++) sets.push(makeSet(set));
    const pass = (call: C): void => {
      if (!backward) return tf.dispose(tf.tidy(() => run(operation, call)));
      const { value, gradients } = differentiate(() => run(operation, call), tensorsOf(call));
      tf.dispose([value, ...gradients.filter((gradient) => gradient !== null)]);
    };
    const reference = { [operation.name]: operation.reference.name };
    const contender = contenders(sets.length);
    yield {
      name: `${name}, ${backward ? "forward and backward" : "forward"}`,
      sets: sets.length,
      ours: contender((set) => pass(sets[set]!)),
      peers: {
        reference: contender((set) => withKernels(reference, () => pass(sets[set]!))),
        ...(tfjs && !backward && { tfjs: contender((set) => tf.dispose(tf.tidy(() => tfjs(sets[set]!)))) }),
      },
      dispose: () => tf.dispose(sets.flatMap(tensorsOf)),
    };
  }
}
