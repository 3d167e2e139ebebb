import { reject } from "@heddle/core";

/** Lets text through up to a stop sequence, which it never lets through, nor what may become the beginning of one. */
export interface StopFilter {
  /** The text that is certain after this piece, and whether a stop sequence ends it here. */
  push(piece: string): { readonly text: string; readonly stopped: boolean };
  /** What was held back, once no more can follow. */
  flush(): string;
}

/** @throws HeddleError `invalid-argument` for a sequence that is empty or holds half a surrogate pair. */
export function checkStop(where: string, stop: readonly string[]): void {
  if (!Array.isArray(stop)) reject(where, "be a list of texts", stop);
  for (const [i, sequence] of stop.entries())
    if (typeof sequence !== "string" || sequence === "" || /\p{Surrogate}/u.test(sequence))
      reject(`${where}[${i}]`, "be a text of 1 character or more", sequence);
}

/**
 * A filter over pieces of whole characters. The sequence that is complete first ends the text, so that the result does
 * not depend on how the text is cut into pieces.
 */
export function createStopFilter(stop: readonly string[]): StopFilter {
  let held = "";
  const longest = Math.max(0, ...stop.map(({ length }) => length));

  /** Where the sequence that is complete first begins. */
  function found(): number {
    let [begin, end] = [-1, Infinity];
    for (const { length, at } of stop.map((sequence) => ({
      length: sequence.length,
      at: held.indexOf(sequence),
    })))
      if (at >= 0 && (at + length < end || (at + length === end && at < begin)))
        [begin, end] = [at, at + length];
    return begin;
  }
  /** How much of the text cannot become a sequence any more. */
  function certain(): number {
    for (let at = Math.max(0, held.length - longest + 1); at < held.length; at++) {
      const rest = held.slice(at);
      if (stop.some((sequence) => sequence.startsWith(rest))) return at;
    }
    return held.length;
  }
  return {
    push(piece) {
      held += piece;
      const at = found();
      const end = at < 0 ? certain() : at;
      const text = held.slice(0, end);
      held = at < 0 ? held.slice(end) : "";
      return { text, stopped: at >= 0 };
    },
    flush() {
      const text = held;
      held = "";
      return text;
    },
  };
}
