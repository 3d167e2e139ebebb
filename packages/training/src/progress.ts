/** Speed of a run and what is left of it. */
export interface Progress {
  /** Over the steps of this run, without evaluation and saving. */
  readonly tokensPerSecond: number;
  /** Expected until the last step, evaluation and saving included. */
  readonly secondsLeft: number;
}

/** Measures a run of `steps` steps. @param now A clock in milliseconds. */
export function measureProgress(now: () => number): {
  begin(): void;
  end(tokens: number, stepsLeft: number): Progress;
} {
  const start = now();
  let begun = start;
  let busy = 0;
  let tokens = 0;
  let steps = 0;
  return {
    begin() {
      begun = now();
    },
    end(more, stepsLeft) {
      const time = now();
      busy += time - begun;
      tokens += more;
      steps++;
      return {
        tokensPerSecond: busy > 0 ? (1000 * tokens) / busy : 0,
        secondsLeft: (((time - start) / steps) * stepsLeft) / 1000,
      };
    },
  };
}
