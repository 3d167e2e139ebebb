/** 10^9 operations or bytes a second, tokens, or sequences. */
export type RateUnit = "GFLOP/s" | "GB/s" | "tokens/s" | "sequences/s";

/** One line of a benchmark's result. */
export interface BenchRow {
  readonly suite: string;
  readonly case: string;
  /** Of `ours` and `peers`: a time, or a rate. */
  readonly unit: "ms" | RateUnit;
  /** Median time of ours, or the rate at it. */
  readonly ours: number;
  /** The same of each peer, or the reason why there is none. */
  readonly peers: Readonly<Record<string, number | string>>;
  /** What a peer ran, where it had a choice. */
  readonly forms?: Readonly<Record<string, string>>;
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
export function rowText({ suite, case: name, unit, ours, peers, forms, ratio, spread }: BenchRow): string {
  const others = Object.entries(peers).map(([peer, value]) => {
    const who = forms?.[peer] === undefined ? peer : `${peer} [${forms[peer]}]`;
    return typeof value === "number"
      ? `${who} ${number(value)} ${unit} (${ratio[peer]!.toFixed(2)}x)`
      : `${peer}: ${value}`;
  });
  return `${suite.padEnd(12)} ${name.padEnd(44)} ${number(ours).padStart(8)} ${unit} ±${(50 * spread).toFixed(0)} %  ${others.join(", ")}`;
}

/** Rows as a table of Markdown, one column for each peer. */
export function rowsTable(rows: readonly BenchRow[]): string {
  const peers = [...new Set(rows.flatMap((row) => Object.keys(row.peers)))];
  const peerCell = ({ peers: values, unit, ratio }: BenchRow, peer: string): string => {
    const value = values[peer];
    return typeof value === "number"
      ? `${number(value)} ${unit}, ${ratio[peer]!.toFixed(2)}x`
      : (value ?? "");
  };
  const lines = [
    ["case", "Heddle", ...peers],
    ["---", "---", ...peers.map(() => "---")],
    ...rows.map((row) => [
      row.case,
      `${number(row.ours)} ${row.unit}`,
      ...peers.map((peer) => peerCell(row, peer)),
    ]),
  ];
  return lines.map((cells) => `| ${cells.join(" | ")} |`).join("\n");
}
