/** Times contenders in turns, so that what else the machine does meets all of them alike. */

/** Something to time: one run on data set `set`, with its results read and freed. */
export interface Contender {
  readonly name: string;
  /** Gives its own milliseconds where it is timed elsewhere, in a process of its own. */
  run(set: number): Promise<number | void>;
}

/** How often and on what. */
export interface MeasureOptions {
  /** Rounds after the warm-up. @default 15 */
  readonly repeats?: number;
  /** Rounds before, so that every data set was seen. @default sets, at least 3 */
  readonly warmUp?: number;
  /** Data sets to go through, so that no run finds its data in the cache. */
  readonly sets: number;
  /** Milliseconds. @default performance.now */
  readonly now?: () => number;
}

/** Median time and spread of one contender, or the error that ended it. */
export type Timing = { readonly median: number; readonly spread: number } | { readonly error: string };

/** The value below which a share of the sorted values lies. */
export function quantile(sorted: readonly number[], share: number): number {
  const place = (sorted.length - 1) * share;
  const below = sorted[Math.floor(place)]!;
  return below + (sorted[Math.ceil(place)]! - below) * (place % 1);
}

/** Runs every contender once a round. One that throws leaves the race with its reason. */
export async function measure(
  contenders: readonly Contender[],
  options: MeasureOptions,
): Promise<Map<string, Timing>> {
  const { repeats = 15, sets, warmUp = Math.max(3, sets), now = () => performance.now() } = options;
  const times = new Map<string, number[]>(contenders.map(({ name }) => [name, []]));
  const errors = new Map<string, string>();
  for (let round = 0; round < warmUp + repeats; round++)
    // Each round starts with another contender.
    for (let turn = 0; turn < contenders.length; turn++) {
      const contender = contenders[(round + turn) % contenders.length]!;
      if (errors.has(contender.name)) continue;
      try {
        const start = now();
        const own = await contender.run(round % sets);
        if (round >= warmUp) times.get(contender.name)!.push(own ?? now() - start);
      } catch (error) {
        errors.set(contender.name, error instanceof Error ? error.message : String(error));
      }
    }
  return new Map(
    contenders.map(({ name }): [string, Timing] => {
      const error = errors.get(name);
      if (error !== undefined) return [name, { error }];
      const sorted = times.get(name)!.toSorted((a, b) => a - b);
      const median = quantile(sorted, 0.5);
      return [name, { median, spread: (quantile(sorted, 0.75) - quantile(sorted, 0.25)) / median }];
    }),
  );
}
