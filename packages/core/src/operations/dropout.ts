import * as tf from "@tensorflow/tfjs-core";
import type { Tensor } from "@tensorflow/tfjs-core";
import { checkNumber, reject } from "../errors.ts";
import { defineOperation, run } from "../operation.ts";
import type { Operation } from "../operation.ts";
import { randomStream } from "../random.ts";
import type { RandomAddress } from "../random.ts";
import { checkFloats } from "./tensors.ts";

/** A call of `dropout`. */
export interface DropoutCall {
  readonly x: Tensor;
  /** Share of values set to 0, in [0, 1). */
  readonly rate: number;
  /** Where the random numbers come from: value i (row-major) is dropped when number i is below `rate`. */
  readonly address: RandomAddress;
}

/** 0 or 1 / (1 - rate) for each of `size` values. */
export function dropoutMask(size: number, rate: number, address: RandomAddress): Float32Array {
  const draws = randomStream(address).uniforms(size);
  const kept = 1 / (1 - rate);
  for (let i = 0; i < size; i++) draws[i] = draws[i]! < rate ? 0 : kept;
  return draws;
}

/** The operation behind `dropout`. */
export const dropoutOperation: Operation<DropoutCall> = defineOperation<DropoutCall>({
  name: "dropout",
  tensors: ["x"],
  needs: [],
  validate({ x, rate, address }) {
    checkFloats("dropout: x", x);
    if (typeof address !== "object" || address === null)
      reject("dropout: address", "be { seed, path, step }", address);
    checkNumber("dropout: rate", rate, { min: 0, max: 1 - 2 ** -24 });
  },
  forward({ x, rate, address }) {
    const mask = tf.tensor(dropoutMask(x.size, rate, address), x.shape);
    return { output: tf.mul(x, mask), saved: [mask] };
  },
  gradient: ({ saved, dy }) => ({ x: () => tf.mul(dy, saved[0]!) }),
});

/** Sets a share of the values to 0 and scales the rest: https://jmlr.org/papers/v15/srivastava14a.html. */
export function dropout(call: DropoutCall): Tensor {
  return call.rate === 0 ? call.x : run(dropoutOperation, call);
}
