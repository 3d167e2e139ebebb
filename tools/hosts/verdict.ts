/** What a host's program gave, against Node 24 on one thread. */

/** What the program of `consumer/` gives. */
export interface Outcome {
  readonly description: string;
  readonly values: readonly number[];
}

/** The outcomes of Node 24 on one thread, narrow. */
export interface Expected {
  readonly plain: Outcome;
  readonly relaxed: Outcome;
}

/** The program's line or page as an outcome. @throws Error with what it shows instead. */
export function readOutcome(text: string): Outcome {
  let read: Partial<Outcome> = {};
  try {
    read = JSON.parse(text) as Partial<Outcome>;
  } catch {
    // Anything else is shown below.
  }
  const { description, values } = read;
  if (typeof description !== "string" || !values?.length || !values.every(Number.isFinite))
    throw new Error(`the program must give a description and values, got ${text}`);
  return { description, values };
}

/** What is asked of a host. */
export interface Rule {
  /** Part of the description. */
  readonly says: string;
  /** How far its values may be. @default 0, the same to the last bit */
  readonly within?: number | undefined;
}

/** What is wrong with it; undefined for what is as it must be. */
export function fault(
  { description, values }: Outcome,
  { plain, relaxed }: Expected,
  { says, within = 0 }: Rule,
): string | undefined {
  if (!description.includes(says)) return `must say ${says}, got ${description}`;
  const expected = (description.includes("relaxed") ? relaxed : plain).values;
  if (values.length !== expected.length) return `must give ${expected.length} values, got ${values.length}`;
  const at = values.findIndex((value, i) => !(Math.abs(value - expected[i]!) <= within));
  return at < 0 ? undefined : `value ${at} must be ${expected[at]}, got ${values[at]}`;
}
