import { cpus } from "node:os";
import type { Contender } from "./measure.ts";
import { measure } from "./measure.ts";
import type { BenchRow, RateUnit } from "./row.ts";

/** One case: ours and what it is compared with, over some data sets. */
export interface BenchCase {
  readonly name: string;
  readonly sets: number;
  readonly ours: Contender["run"];
  /** A run, or the reason why there is none. */
  readonly peers: Readonly<Record<string, Contender["run"] | string>>;
  /** What a peer runs, where it had a choice. */
  readonly forms?: Readonly<Record<string, string>>;
  /** What a run does, in what the unit counts, to give the rate at which it does it. @default its milliseconds */
  readonly rate?: { readonly unit: RateUnit; readonly amount: number };
  /** Frees the data. */
  dispose(): void | Promise<void>;
}

/** Where a suite runs. */
export interface BenchContext {
  readonly repeats: number;
  /** Only cases whose names hold this. @default all */
  readonly only?: string | undefined;
}

/** A suite: starts what it needs and gives its cases one by one. */
export interface BenchSuite {
  readonly threads: number;
  /** What it runs on, for people; a backend knows all of it once it has computed. */
  readonly mode: string;
  cases(): Iterable<BenchCase> | AsyncIterable<BenchCase>;
  stop(): Promise<void>;
}

/** Measures the cases of a suite. */
export async function* runSuite(
  name: string,
  suite: BenchSuite,
  { repeats, only = "" }: BenchContext,
): AsyncGenerator<BenchRow> {
  const { threads } = suite;
  for await (const { name: title, sets, ours, peers, forms, rate, dispose } of suite.cases()) {
    if (!title.includes(only)) {
      await dispose();
      continue;
    }
    const contenders = [{ name: "ours", run: ours }];
    for (const [peer, run] of Object.entries(peers))
      if (typeof run === "function") contenders.push({ name: peer, run });
    const timings = await measure(contenders, { repeats, sets });
    await dispose();
    const own = timings.get("ours")!;
    if ("error" in own) throw new Error(`${name}: ${title}: ${own.error}`);
    const outcome = (peer: string): number | string => {
      const absence = peers[peer];
      if (typeof absence === "string") return absence;
      const timing = timings.get(peer)!;
      return "error" in timing ? timing.error : timing.median;
    };
    const valueOf = (time: number): number => (rate ? (1000 * rate.amount) / time : time);
    const others = Object.keys(peers).map((peer) => [peer, outcome(peer)] as const);
    yield {
      suite: name,
      case: title,
      unit: rate?.unit ?? "ms",
      ours: valueOf(own.median),
      peers: Object.fromEntries(
        others.map(([peer, time]) => [peer, typeof time === "number" ? valueOf(time) : time]),
      ),
      ...(forms && { forms }),
      ratio: Object.fromEntries(
        others.flatMap(([peer, time]) => (typeof time === "number" ? [[peer, time / own.median]] : [])),
      ),
      threads,
      mode: suite.mode,
      repeats,
      spread: own.spread,
    };
  }
}

/** Name of the processor. */
export const processor = (): string => `${cpus()[0]?.model.trim() ?? "unknown"}, ${cpus().length} cores`;
