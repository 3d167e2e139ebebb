import { randomStream } from "@heddle/core";

/** Choices of one round, the same for the same seed. */
export interface Draw {
  /** An integer from `min` to `max`. */
  integer(min: number, max: number): number;
  /** An integer from 1 to `max`, in which small ones are as likely as great ones by their digits. */
  size(max: number): number;
  one<T>(values: readonly T[]): T;
  chance(probability: number): boolean;
}

export function drawFrom(seed: number): Draw {
  const stream = randomStream({ seed, path: "soak" });
  let at = 0;
  const uniform = (): number => stream.uniform(at++);
  const integer = (min: number, max: number): number => min + Math.floor(uniform() * (max - min + 1));
  return {
    integer,
    size: (max) => Math.max(1, Math.round(max ** uniform())),
    one: (values) => values[integer(0, values.length - 1)]!,
    chance: (probability) => uniform() < probability,
  };
}
