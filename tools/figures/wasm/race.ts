/** Contenders, each in a process of its own, timed in turns on the same works. */
import { checkAgreement } from "../../peers/agreement.ts";
import { reasonOf } from "../../peers/peer.ts";
import { openContender } from "../../bench/contender.ts";
import type { RemoteContender, RemoteWork, Runtime } from "../../bench/contender.ts";
import type { ContenderSettings } from "../../bench/contenders.ts";
import { measure } from "../../bench/measure.ts";
import { saveModel } from "../../bench/saved-models.ts";
import { modelsOf, setCount } from "../../bench/works.ts";
import type { WorkSpec } from "../../bench/works.ts";
import type { FigureContext } from "../figure.ts";

/** Who takes part, by the names of the rows. */
export type Entrants = Readonly<Record<string, ContenderSettings>>;

/** What came out of one contender. */
export type Outcome =
  | {
      /** Milliseconds. */
      readonly median: number;
      /** Distance of the quartiles as a share of the median. */
      readonly spread: number;
      /** What it ran, where it had a choice. */
      readonly form?: string;
      /** Operations or bytes of a run, of what measures the machine itself. */
      readonly amount?: number;
      /** Bytes of WebAssembly heap after the last pass, where it has one. */
      readonly heap?: number;
    }
  | { readonly error: string };

export type Outcomes = Readonly<Record<string, Outcome>>;

export interface RaceOptions {
  /** Who takes part, among those that were opened. @default all */
  readonly who?: readonly string[];
  /** The work of a contender, where it differs from that of the others; its values are not compared then. */
  readonly specs?: Readonly<Record<string, WorkSpec>>;
  /** The form of a contender. @default its fastest */
  readonly forms?: Readonly<Record<string, string>>;
  /**
   * Passes of one timing, each on the next data set: where one takes a few milliseconds, waking threads and caches
   * that others have filled would be timed. @default 1
   */
  readonly passes?: number;
  /** Rounds that count. @default 11 */
  readonly repeats?: number;
  /** Rounds before those. @default as many as data sets, at least 3 */
  readonly warmUp?: number;
}

export interface Field {
  /** Times a work. The first contender is ours, with which the values of the others are compared. */
  race(name: string, spec: WorkSpec, options?: RaceOptions): Promise<Outcomes>;
  close(): Promise<void>;
}

/** What knows the machine, not the work: it has no values. */
const isProbe = ({ who }: ContenderSettings): boolean => who === "peak" || who === "stream";

/** A timing with what else is known of who ran. */
async function completed(
  timing: { readonly median: number; readonly spread: number },
  work: RemoteWork,
): Promise<Outcome> {
  const { form, amount } = work;
  const heap = await work.heap();
  return {
    ...timing,
    ...(form !== undefined && { form }),
    ...(amount !== undefined && { amount }),
    ...(heap !== undefined && { heap }),
  };
}

/** Starts the contenders; one that does not start is in the results with its reason. */
export async function openField(
  entrants: Entrants,
  { progress }: FigureContext,
  runtime?: Runtime,
): Promise<Field> {
  const open = new Map<string, RemoteContender>();
  const absent = new Map<string, string>();
  for (const [name, settings] of Object.entries(entrants))
    try {
      open.set(name, await openContender(settings, runtime));
    } catch (error) {
      absent.set(name, reasonOf(error));
    }

  async function prepare(
    who: readonly string[],
    spec: WorkSpec,
    { specs = {}, forms = {} }: RaceOptions,
  ): Promise<{ ready: Map<string, RemoteWork>; failed: Map<string, string> }> {
    const ready = new Map<string, RemoteWork>();
    const failed = new Map(absent);
    let expected: Float32Array | undefined;
    for (const name of who) {
      const contender = open.get(name);
      if (!contender) continue;
      let work: RemoteWork | undefined;
      try {
        work = await contender.prepare(specs[name] ?? spec, forms[name]);
        if (!isProbe(entrants[name]!) && !specs[name]) {
          const values = await work.values(0);
          if (name === who[0]) expected = values;
          else if (expected) checkAgreement(expected, values);
        }
        ready.set(name, work);
      } catch (error) {
        failed.set(name, reasonOf(error));
        await work?.drop().catch(() => undefined);
      }
    }
    return { ready, failed };
  }

  return {
    async race(name, spec, options = {}) {
      const { who = Object.keys(entrants), passes = 1, repeats = 11, warmUp } = options;
      for (const [model, seed] of modelsOf(spec)) await saveModel(model, seed);
      const { ready, failed } = await prepare(who, spec, options);
      const timings = await measure(
        [...ready].map(([contender, work]) => ({ name: contender, run: (set) => work.run(set, passes) })),
        { repeats, sets: setCount(spec), ...(warmUp !== undefined && { warmUp }) },
      );
      const outcomes: Record<string, Outcome> = {};
      for (const contender of who) {
        const timing = timings.get(contender) ?? { error: failed.get(contender) ?? "it did not run" };
        const one = ready.get(contender);
        outcomes[contender] = one && !("error" in timing) ? await completed(timing, one) : timing;
      }
      for (const work of ready.values()) await work.drop().catch(() => undefined);
      progress(`${name}: ${who.map((one) => `${one} ${outcomeText(outcomes[one]!)}`).join("; ")}`);
      return outcomes;
    },
    async close() {
      const descriptions = new Map<string, string[]>();
      for (const [name, { description }] of open)
        if (description) descriptions.set(description, [...(descriptions.get(description) ?? []), name]);
      for (const [description, names] of descriptions) progress(`${names.join(", ")}: ${description}`);
      for (const contender of open.values()) await contender.stop();
    },
  };
}

const milliseconds = (time: number): string =>
  `${time >= 100 ? time.toFixed(0) : time >= 10 ? time.toFixed(1) : time.toFixed(2)} ms`;

/** Time and spread, or the reason why there is none. */
export function outcomeText(outcome: Outcome): string {
  if ("error" in outcome) return `failed: ${outcome.error}`;
  const { median, spread, form } = outcome;
  return `${form === undefined ? "" : `[${form}] `}${milliseconds(median)} ±${(50 * spread).toFixed(0)} %`;
}

/** Runs with a field that is closed however it ends. */
export async function withField<T>(
  entrants: Entrants,
  context: FigureContext,
  act: (field: Field) => Promise<T>,
  runtime?: Runtime,
): Promise<T> {
  const field = await openField(entrants, context, runtime);
  try {
    return await act(field);
  } finally {
    await field.close();
  }
}
