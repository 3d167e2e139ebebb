/** The largest absolute difference of two lists; infinite when a value is NaN or the lengths differ. */
export function largestDifference(actual: ArrayLike<number>, expected: ArrayLike<number>): number {
  if (actual.length !== expected.length) return Infinity;
  let largest = 0;
  for (let i = 0; i < actual.length; i++) {
    const difference = Math.abs(actual[i]! - expected[i]!);
    if (!(difference <= largest)) largest = Number.isNaN(difference) ? Infinity : difference;
  }
  return largest;
}

/** How far results are from those expected. */
export interface Differences {
  /** Largest absolute difference of an output. */
  readonly output: number;
  /** Largest difference of a gradient, as a share of the largest entry of all. */
  readonly gradient: number;
}

/** The largest absolute value of a list. */
export function largestEntry(values: ArrayLike<number>): number {
  let largest = 0;
  for (let i = 0; i < values.length; i++) largest = Math.max(largest, Math.abs(values[i]!));
  return largest;
}

/** How far gradients may be from those expected: the largest difference over the largest entry of what is expected. */
export function relativeDifference(actual: ArrayLike<number>, expected: ArrayLike<number>): number {
  const difference = largestDifference(actual, expected);
  return difference === 0 ? 0 : difference / largestEntry(expected);
}
