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
  if (typeof description !== "string" || !Array.isArray(values) || values.length === 0)
    throw new Error(`the program must give a description and values, got ${text}`);
  return { description, values };
}

/** What is wrong with it; undefined for what is as it must be, which is the same to the last bit. */
export function fault(outcome: Outcome, { plain, relaxed }: Expected, says: string): string | undefined {
  const { description, values } = outcome;
  if (!description.includes(`SIMD, ${says}, `)) return `must say ${says}, got ${description}`;
  const expected = (description.includes("relaxed") ? relaxed : plain).values;
  if (values.length !== expected.length) return `must give ${expected.length} values, got ${values.length}`;
  const at = values.findIndex((value, i) => value !== expected[i]);
  return at < 0 ? undefined : `value ${at} must be ${expected[at]}, got ${values[at]}`;
}
