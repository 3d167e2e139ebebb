import { cpus } from "node:os";
import type { Contender } from "./measure.ts";
import { measure } from "./measure.ts";
import type { BenchRow } from "./row.ts";

/** One case: ours and what it is compared with, over some data sets. */
export interface BenchCase {
  readonly name: string;
  readonly sets: number;
  readonly ours: Contender["run"];
  readonly peers: Readonly<Record<string, Contender["run"]>>;
  /** Frees the data. */
  dispose(): void;
}

/** Where a suite runs. */
export interface BenchContext {
  readonly repeats: number;
}

/** A suite: starts what it needs and gives its cases one by one. */
export interface BenchSuite {
  readonly threads: number;
  readonly mode: string;
  cases(): Iterable<BenchCase> | AsyncIterable<BenchCase>;
  stop(): Promise<void>;
}

/** Measures the cases of a suite. */
export async function* runSuite(
  name: string,
  suite: BenchSuite,
  { repeats }: BenchContext,
): AsyncGenerator<BenchRow> {
  const { threads, mode } = suite;
  for await (const { name: title, sets, ours, peers, dispose } of suite.cases()) {
    const contenders = [
      { name: "ours", run: ours },
      ...Object.entries(peers).map(([peer, run]) => ({ name: peer, run })),
    ];
    const timings = await measure(contenders, { repeats, sets });
    dispose();
    const own = timings.get("ours")!;
    if ("error" in own) throw new Error(`${name}: ${title}: ${own.error}`);
    const others = Object.keys(peers).map((peer) => [peer, timings.get(peer)!] as const);
    yield {
      suite: name,
      case: title,
      unit: "ms",
      ours: own.median,
      peers: Object.fromEntries(others.map(([peer, t]) => [peer, "error" in t ? t.error : t.median])),
      ratio: Object.fromEntries(
        others.flatMap(([peer, t]) => ("error" in t ? [] : [[peer, t.median / own.median] as const])),
      ),
      threads,
      mode,
      repeats,
      spread: own.spread,
    };
  }
}

/** Name of the processor. */
export const processor = (): string => `${cpus()[0]?.model.trim() ?? "unknown"}, ${cpus().length} cores`;
