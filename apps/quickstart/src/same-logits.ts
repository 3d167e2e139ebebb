import { HeddleError } from "@heddle/core";

/** The largest absolute difference of two lists of numbers; NaN when one holds a NaN or they differ in length. */
export function largestDifference(a: ArrayLike<number>, b: ArrayLike<number>): number {
  if (a.length !== b.length) return Number.NaN;
  let largest = 0;
  for (let i = 0; i < a.length; i++) largest = Math.max(largest, Math.abs(a[i]! - b[i]!));
  return largest;
}

/**
 * Ends the quickstart when weights give other logits than before.
 * @throws HeddleError `invalid-state` that says where.
 */
export function checkSameLogits(where: string, difference: number, limit: number): void {
  if (!(difference <= limit))
    throw new HeddleError(
      "invalid-state",
      `quickstart: logits ${where} must differ by at most ${limit}, got ${difference}`,
    );
}
