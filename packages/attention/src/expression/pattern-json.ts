/** Patterns as JSON: `{ name, ...options }`, and `{ name: "or", of: [...] }` for those that are joined. */
import { HeddleError, checkOptions, reject } from "@heddle/core";
import { and, checkPattern, not, or } from "./pattern.ts";
import type { AttentionPattern } from "./tree.ts";

/** A pattern as JSON. */
export interface PatternJSON {
  readonly name: string;
  readonly [option: string]: unknown;
}

/** What makes a pattern from the options of its JSON, by name; `and`, `or` and `not` need none. */
export type PatternFactories = Readonly<Record<string, (options: never) => AttentionPattern>>;

const greatestNesting = 32;
const greatestOperands = 1024;

/** A pattern as JSON. */
export function patternToJSON({ name, options }: AttentionPattern): PatternJSON {
  return { name, ...options };
}

/**
 * A pattern from JSON. An option that the pattern does not have is refused, so that a misspelt one is not ignored.
 * Throws HeddleError `invalid-data` naming the path of what is wrong.
 */
export function patternFromJSON(
  json: unknown,
  factories: PatternFactories,
  where = "pattern",
): AttentionPattern {
  return read(json, factories, where, 1);
}

function read(json: unknown, factories: PatternFactories, where: string, depth: number): AttentionPattern {
  const bad: (place: string, rule: string, value: unknown) => never = (place, rule, value) =>
    reject(place, rule, value, "invalid-data");
  if (depth > greatestNesting) bad(where, `be nested at most ${greatestNesting} deep`, depth);
  if (typeof json !== "object" || json === null || Array.isArray(json))
    bad(where, "be an object with a name", json);
  const { name, ...options }: Record<string, unknown> = { ...json };
  if (typeof name !== "string") return bad(`${where}.name`, "be the name of a pattern", name);
  const operands = (): AttentionPattern[] => {
    const { of } = options;
    if (!Array.isArray(of) || of.length > greatestOperands)
      return bad(`${where}.of`, `be a list of at most ${greatestOperands} patterns`, of);
    return of.map((part: unknown, at) => read(part, factories, `${where}.of[${at}]`, depth + 1));
  };
  const joined = joiners.get(name);
  if (joined) {
    const extra = Object.keys(options).find((option) => option !== "of");
    if (extra !== undefined) bad(`${where}`, "have a name, the field of, and no others", extra);
    return name === "not"
      ? not(read(options["of"], factories, `${where}.of`, depth + 1))
      : joined(...operands());
  }
  if (!Object.hasOwn(factories, name)) {
    const known = [...Object.keys(factories), ...joiners.keys()].toSorted();
    return bad(`${where}.name`, `be one of ${known.join(", ")}`, name);
  }
  const factory = factories[name] as (options: Readonly<Record<string, unknown>>) => AttentionPattern;
  const made = inPlace(where, () => factory(options));
  checkPattern(where, made);
  checkOptions(where, options, made.options);
  return made;
}

const joiners: ReadonlyMap<string, (...patterns: readonly AttentionPattern[]) => AttentionPattern> = new Map([
  ["and", and],
  ["or", or],
  ["not", (operand) => not(operand)],
] as [string, (...patterns: readonly AttentionPattern[]) => AttentionPattern][]);

/** Runs a factory; what it refuses is said with the path that it came from. */
function inPlace(where: string, make: () => AttentionPattern): AttentionPattern {
  try {
    return make();
  } catch (error) {
    if (error instanceof HeddleError)
      throw new HeddleError("invalid-data", `${where}: ${error.message}`, { cause: error });
    throw error;
  }
}
