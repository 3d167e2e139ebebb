/** What is known of a predicate over a tile: four bits, joined by three-valued logic with witnesses. */

/** A pair may satisfy it (1), may fail it (2), does satisfy it (4), does fail it (8). */
export type Knowledge = number;

export const mayHold = 1;
export const mayFail = 2;
export const doesHold = 4;
export const doesFail = 8;

export const allHold: Knowledge = mayHold | doesHold;
export const noneHold: Knowledge = mayFail | doesFail;
export const nothingKnown: Knowledge = mayHold | mayFail;
/** Some pairs hold and some fail for certain. */
export const mixed: Knowledge = nothingKnown | doesHold | doesFail;

/** What is known of the negation: may and does hold change places with may and does fail. */
export function not(a: Knowledge): Knowledge {
  return ((a & 5) << 1) | ((a & 10) >> 1);
}

/** A pair that holds in one part is a witness only when the other part holds everywhere. */
export function and(a: Knowledge, b: Knowledge): Knowledge {
  if (a === allHold) return b;
  if (b === allHold) return a;
  if ((a & b & mayHold) === 0) return noneHold;
  return nothingKnown | ((a | b) & doesFail);
}

/** A pair that fails in one part is a witness only when the other part fails everywhere. */
export function or(a: Knowledge, b: Knowledge): Knowledge {
  if (a === noneHold) return b;
  if (b === noneHold) return a;
  if ((a & b & mayFail) === 0) return allHold;
  return nothingKnown | ((a | b) & doesHold);
}
