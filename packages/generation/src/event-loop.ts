import { breathe } from "@heddle/core";

/** How long, in milliseconds, a page or a timer may wait for its turn. */
const longestWait = 50;

/**
 * Lets timers, input and painting have their turn now and then: a backend that computes at once gives none, and an abort
 * from a timer would never be seen.
 */
export function createTurns(): () => Promise<void> {
  let last = performance.now();
  return async () => {
    if (performance.now() - last < longestWait) return;
    await breathe();
    last = performance.now();
  };
}
