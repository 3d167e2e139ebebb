/** Reading config.json: each key by a schema, each error with the key's name. */
import { HeddleError, show } from "@heddle/core";
import * as v from "valibot";

/** A whole number of at least `min`. */
export const integer = (min: number): v.GenericSchema<number> =>
  v.pipe(
    v.number(`be an integer >= ${min}`),
    v.safeInteger(`be an integer >= ${min}`),
    v.minValue(min, `be an integer >= ${min}`),
  );

/** A number from `min` to `max`. */
export const between = (min: number, max: number): v.GenericSchema<number> =>
  v.pipe(
    v.number(`be a number from ${min} to ${max}`),
    v.minValue(min, `be a number from ${min} to ${max}`),
    v.maxValue(max, `be a number from ${min} to ${max}`),
  );

/** A share of values to drop, in [0, 1). */
export const rate = (): v.GenericSchema<number> => between(0, 1 - 2 ** -24);

/** One of some names. */
export const oneOf = <const T extends readonly string[]>(names: T): v.GenericSchema<T[number]> =>
  v.picklist(names, `be one of ${names.map(show).join(", ")}`);

/** Exactly one value: a setting that only one form of is supported. */
export const only = <const T extends boolean | string | number>(value: T): v.GenericSchema<T> =>
  v.literal(value, `be ${show(value)}; nothing else is supported`);

/**
 * The keys of a config.json that a schema names, checked; keys that are `null` count as not given.
 * @throws HeddleError `invalid-data`: `config.json: n_head must be an integer >= 1, got "x"`.
 */
export function readJson<const S extends v.ObjectEntries>(
  json: Readonly<Record<string, unknown>>,
  entries: S,
): v.InferOutput<v.ObjectSchema<S, undefined>> {
  const given = Object.fromEntries(Object.entries(json).filter(([, value]) => value !== null));
  const result = v.safeParse(v.object(entries), given);
  if (result.success) return result.output;
  const issue = result.issues[0];
  const key = v.getDotPath(issue) ?? "";
  const rule = issue.received === "undefined" ? "be there" : issue.message;
  throw new HeddleError("invalid-data", `config.json: ${key} must ${rule}, got ${show(issue.input)}`);
}
