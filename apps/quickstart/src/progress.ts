/** What a progress line says. */
export interface Progress {
  readonly step: number;
  readonly steps: number;
  readonly loss: number;
  readonly tokensPerSecond: number;
  readonly secondsLeft: number;
}

/** Where progress goes: standard output, or a list in tests. */
export interface Screen {
  /** Whether a line can be written over. */
  readonly isTTY: boolean;
  write(text: string): void;
}

const SECONDS_BETWEEN_LINES = 10;

/** One line of progress. */
export function progressLine({ step, steps, loss, tokensPerSecond, secondsLeft }: Progress): string {
  const width = String(steps).length;
  const left = Number.isFinite(secondsLeft) ? `${Math.ceil(secondsLeft)} s left` : "";
  return `step ${String(step).padStart(width)}/${steps}  loss ${loss.toFixed(3)}  ${Math.round(tokensPerSecond)} tokens/s  ${left}`;
}

/**
 * Shows progress: on a terminal one line that is written over, elsewhere a plain line every 10 s.
 * @param now Milliseconds, for the plain lines.
 */
export function createProgress(
  screen: Screen,
  now: () => number,
): { show(progress: Progress): void; end(): void } {
  let last = now();
  let open = false;
  return {
    show(progress) {
      if (screen.isTTY) {
        screen.write(`\r\u001b[K${progressLine(progress)}`);
        open = true;
      } else if (now() - last >= SECONDS_BETWEEN_LINES * 1000 || progress.step === progress.steps) {
        screen.write(`${progressLine(progress)}\n`);
        last = now();
      }
    },
    end() {
      if (open) screen.write("\n");
      open = false;
    },
  };
}
