import { checkNumber } from "./errors.ts";
import type { RandomStream } from "./random.ts";

/** First values of a parameter: fills `values` (zeros, row-major, of `shape`) from a stream of its own. */
export type Initializer = (values: Float32Array, shape: readonly number[], stream: RandomStream) => void;

/** All zeros. */
export const zeros: Initializer = () => {};

/** All ones. */
export const ones: Initializer = (values) => {
  values.fill(1);
};

/** Independent normal values around 0. @param std Standard deviation. */
export function normal(std: number): Initializer {
  checkNumber("normal: std", std, { min: 0 });
  return (values, _, stream) => {
    const draws = stream.normals(values.length);
    for (let i = 0; i < values.length; i++) values[i] = draws[i]! * std;
  };
}
