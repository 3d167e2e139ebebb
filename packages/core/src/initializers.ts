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

/** Independent values, uniform in [-limit, limit). */
export function uniform(limit: number): Initializer {
  checkNumber("uniform: limit", limit, { min: 0 });
  return (values, _, stream) => {
    for (let i = 0; i < values.length; i++) values[i] = (2 * stream.uniform(i) - 1) * limit;
  };
}

/** Glorot and Bengio (2010): uniform with limit sqrt(6 / (in + out)) over the last two dimensions. */
export const glorotUniform: Initializer = (values, shape, stream) => {
  const [out = 1, into = 1] = [shape.at(-1), shape.at(-2)];
  uniform(Math.sqrt(6 / (into + out)))(values, shape, stream);
};
