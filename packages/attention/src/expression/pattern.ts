/** Patterns: a named expression, resolved per shape, and how they join. */
import { checkInteger, reject } from "@heddle/core";
import { allOf, anyOf, BooleanExpression, variables } from "./builders.ts";
import type { Variables } from "./builders.ts";
import { reads } from "./tree.ts";
import type { AttentionPattern, BooleanNode, PatternShape } from "./tree.ts";
import { checkExpression, defaultGreatestLength } from "./validate.ts";

/** How many shapes a pattern keeps resolved. */
const keptShapes = 8;

/** What a definition may say besides its expression. */
export interface PatternRules {
  /** The number of heads that it is made for, where its options say so (a list with an entry a head). @default any */
  readonly heads?: number;
  /**
   * Whether a pair's answer does not depend on the lengths. Needed only where `build` reads a length of the shape
   * and the answer does not depend on it.
   * @default found from what `build` and its tree read
   */
  readonly prefixStable?: boolean;
  /**
   * Greatest queryLength and keyLength. The expression is checked up to it: a product that could leave int32 at the
   * default may be fine at a smaller one.
   * @default 2^20
   */
  readonly greatestLength?: number;
}

/** Makes the expression of a pattern from the variables; `shape` is for tables and constants that depend on it. */
export type PatternDefinition = (variables: Variables, shape: PatternShape) => BooleanExpression;

/** Checks the shape of a call: at least one head, lengths from 0 to the greatest. */
export function checkPatternShape(
  where: string,
  shape: PatternShape,
  greatestLength = defaultGreatestLength,
): void {
  checkInteger(`${where}: heads`, shape.heads, { min: 1, max: 2 ** 16 });
  checkInteger(`${where}: queryLength`, shape.queryLength, { min: 0, max: greatestLength });
  checkInteger(`${where}: keyLength`, shape.keyLength, { min: 0, max: greatestLength });
}

/**
 * Makes an attention pattern. `build` is called once a shape, and its expression is checked then: one that could
 * leave int32 at the greatest length is refused.
 *
 * @example
 * const everyThird = pattern("every-third", {}, ({ query, key }) => query.minus(key).modulo(3).equals(0));
 */
export function pattern(
  name: string,
  options: Readonly<Record<string, unknown>>,
  build: PatternDefinition,
  rules: PatternRules = {},
): AttentionPattern {
  if (typeof name !== "string" || name === "") reject("pattern: name", "be a non-empty string", name);
  if (Object.hasOwn(options, "name"))
    reject(`pattern ${name}: options`, "have no option called name", options);
  const { greatestLength = defaultGreatestLength } = rules;
  checkInteger(`pattern ${name}: greatestLength`, greatestLength, { min: 1, max: 2 ** 30 });
  const settled = frozenJSON(options);
  const resolved = new Map<string, BooleanNode>();
  const make = (shape: PatternShape): { node: BooleanNode; readsLength: boolean } => {
    let readsLength = false;
    const watched: PatternShape = {
      heads: shape.heads,
      get queryLength(): number {
        readsLength = true;
        return shape.queryLength;
      },
      get keyLength(): number {
        readsLength = true;
        return shape.keyLength;
      },
    };
    const { node } = build(variables, watched);
    checkExpression(name, node, { heads: shape.heads, greatestLength });
    return { node, readsLength };
  };
  let stable = rules.prefixStable;

  return Object.freeze({
    kind: "pattern",
    name,
    options: settled,
    greatestLength,
    resolve(shape: PatternShape): BooleanNode {
      checkPatternShape(name, shape, greatestLength);
      if (rules.heads !== undefined && shape.heads !== rules.heads)
        reject(`${name}: heads`, `be ${rules.heads}, as its options say`, shape.heads);
      const key = `${shape.heads} ${shape.queryLength} ${shape.keyLength}`;
      let node = resolved.get(key);
      if (!node) {
        node = make(shape).node;
        const [oldest] = resolved.keys();
        if (resolved.size >= keptShapes && oldest !== undefined) resolved.delete(oldest);
        resolved.set(key, node);
      }
      return node;
    },
    get prefixStable(): boolean {
      if (stable === undefined) {
        const { node, readsLength } = make({ heads: rules.heads ?? 1, queryLength: 1, keyLength: 1 });
        const { variables: names } = reads(node);
        stable = !readsLength && !names.has("queryLength") && !names.has("keyLength");
      }
      return stable;
    },
  } satisfies AttentionPattern);
}

/** A copy that has been through JSON, so that nothing the caller holds can change it. */
function frozenJSON<T extends object>(value: T): Readonly<T> {
  return JSON.parse(JSON.stringify(value), (_, part: unknown) => Object.freeze(part)) as T;
}

function join(name: "and" | "or", parts: readonly AttentionPattern[]): AttentionPattern {
  for (const [at, part] of parts.entries()) checkPattern(`${name}: operand ${at}`, part);
  const flat = parts.flatMap((part) => (part.name === name ? joinedParts.get(part) : undefined) ?? [part]);
  const [only, second] = flat;
  if (only && !second) return only;
  const combine = name === "and" ? allOf : anyOf;
  const joined = pattern(
    name,
    { of: flat.map(patternOptions) },
    (_, shape) => combine(flat.map((part) => new BooleanExpression(part.resolve(shape)))),
    {
      prefixStable: flat.every((part) => part.prefixStable),
      greatestLength: Math.min(
        ...flat.map((part) => part.greatestLength ?? defaultGreatestLength),
        defaultGreatestLength,
      ),
    },
  );
  joinedParts.set(joined, flat);
  return joined;
}

/** The operands of patterns made by `and` and `or`, so that nested ones flatten. */
const joinedParts = new WeakMap<AttentionPattern, readonly AttentionPattern[]>();

function patternOptions({ name, options }: AttentionPattern): Record<string, unknown> {
  return { name, ...options };
}

/** Checks that a value is a pattern. */
export function checkPattern(where: string, value: unknown): asserts value is AttentionPattern {
  const { kind, resolve } = Object(value) as Partial<AttentionPattern>;
  if (kind !== "pattern" || typeof resolve !== "function") reject(where, "be an attention pattern", value);
}

/** Pairs that every pattern allows; nested ones are flattened. With none, all pairs. */
export function and(...patterns: readonly AttentionPattern[]): AttentionPattern {
  return join("and", patterns);
}

/** Pairs that at least one pattern allows; nested ones are flattened. With none, no pair. */
export function or(...patterns: readonly AttentionPattern[]): AttentionPattern {
  return join("or", patterns);
}

/** Pairs that a pattern does not allow. */
export function not(operand: AttentionPattern): AttentionPattern {
  checkPattern("not: operand", operand);
  return pattern(
    "not",
    { of: patternOptions(operand) },
    (_, shape) => new BooleanExpression(operand.resolve(shape)).not(),
    { prefixStable: operand.prefixStable, greatestLength: operand.greatestLength },
  );
}
