/** One line of a benchmark's result. */
export interface BenchRow {
  readonly suite: string;
  readonly case: string;
  /** Of `ours` and `peers`; smaller is better. */
  readonly unit: "ms";
  /** Median time of ours. */
  readonly ours: number;
  /** Median time of each peer, or the reason why there is none. */
  readonly peers: Readonly<Record<string, number | string>>;
  /** How many times faster ours is than each peer that ran. */
  readonly ratio: Readonly<Record<string, number>>;
  readonly threads: number;
  /** The backend, and whatever of it was chosen. */
  readonly mode: string;
  /** Rounds; in each every contender runs once. */
  readonly repeats: number;
  /** Distance of the quartiles of ours, as a share of its median. */
  readonly spread: number;
}

/** A file of results. */
export interface BenchReport {
  readonly node: string;
  readonly cpu: string;
  readonly commit: string;
  readonly rows: readonly BenchRow[];
}

const number = (value: number): string =>
  value >= 100 ? value.toFixed(0) : value >= 1 ? value.toFixed(2) : value.toFixed(4);

/** A row as a line of text. */
export function rowText({ suite, case: name, unit, ours, peers, ratio, spread }: BenchRow): string {
  const others = Object.entries(peers).map(([peer, time]) =>
    typeof time === "number"
      ? `${peer} ${number(time)} ${unit} (${ratio[peer]!.toFixed(2)}x)`
      : `${peer}: ${time}`,
  );
  return `${suite.padEnd(12)} ${name.padEnd(44)} ${number(ours).padStart(8)} ${unit} ±${(50 * spread).toFixed(0)} %  ${others.join(", ")}`;
}
