/** Patterns: a named expression, resolved per shape, and how they join. */
import { checkInteger, reject } from "@heddle/core";
import { allOf, anyOf, BooleanExpression, literal, variables } from "./builders.ts";
import type { Variables } from "./builders.ts";
import { dependsOnLength } from "./tree.ts";
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
  greatestLength: number = defaultGreatestLength,
): void {
  checkInteger(`${where}: heads`, shape.heads, { min: 1, max: 2 ** 16 });
  checkInteger(`${where}: queryLength`, shape.queryLength, { min: 0, max: greatestLength });
  checkInteger(`${where}: keyLength`, shape.keyLength, { min: 0, max: greatestLength });
}

/**
 * Makes an attention pattern. `build` is called once a shape (once a number of heads when it reads no length of the
 * shape), and its expression is checked then: one that could leave int32 at the greatest length is refused.
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
  return makePattern(name, options, rules, (shape) => {
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
    const built: unknown = build(variables, watched);
    if (!(built instanceof BooleanExpression))
      reject(`pattern ${name}: build`, "return a boolean expression", built);
    return { node: built.node, readsLength };
  });
}

/** What a definition gives for a shape, and whether another length could give another tree. */
interface Definition {
  readonly node: BooleanNode;
  readonly readsLength: boolean;
}

/** Trees that serve every length. */
const servesLengths = new WeakSet<BooleanNode>();

function makePattern(
  name: string,
  options: Readonly<Record<string, unknown>>,
  rules: PatternRules,
  define: (shape: PatternShape) => Definition,
  isStable?: () => boolean,
): AttentionPattern {
  if (typeof name !== "string" || name === "") reject("pattern: name", "be a non-empty string", name);
  if (Object.hasOwn(options, "name"))
    reject(`pattern ${name}: options`, "have no option called name", options);
  const { greatestLength = defaultGreatestLength } = rules;
  checkInteger(`pattern ${name}: greatestLength`, greatestLength, { min: 1, max: 2 ** 30 });
  const resolved = new Map<string, BooleanNode>();
  const checked = new WeakMap<BooleanNode, number>();
  const make = (shape: PatternShape): Definition => {
    const made = define(shape);
    if (checked.get(made.node) !== shape.heads)
      checkExpression(name, made.node, { heads: shape.heads, greatestLength });
    checked.set(made.node, shape.heads);
    return made;
  };
  let stable = rules.prefixStable;

  return Object.freeze({
    kind: "pattern",
    name,
    options: frozenJSON(options),
    greatestLength,
    resolve(shape: PatternShape): BooleanNode {
      checkPatternShape(name, shape, greatestLength);
      const { heads, queryLength, keyLength } = shape;
      if (rules.heads !== undefined && heads !== rules.heads)
        reject(`${name}: heads`, `be ${rules.heads}, as its options say`, heads);
      const exact = `${heads} ${queryLength} ${keyLength}`;
      const known = resolved.get(`${heads}`) ?? resolved.get(exact);
      if (known) return known;
      const { node, readsLength } = make({ heads, queryLength, keyLength });
      if (!readsLength) servesLengths.add(node);
      const [oldest] = resolved.keys();
      if (resolved.size >= keptShapes && oldest !== undefined) resolved.delete(oldest);
      resolved.set(readsLength ? exact : `${heads}`, node);
      return node;
    },
    get prefixStable(): boolean {
      stable ??= isStable?.();
      if (stable === undefined) {
        const made = make({ heads: rules.heads ?? 1, queryLength: 1, keyLength: 1 });
        stable = !made.readsLength && !dependsOnLength(made.node);
      }
      return stable;
    },
  } satisfies AttentionPattern);
}

/** A copy that has been through JSON, so that nothing the caller holds can change it. */
function frozenJSON<T extends object>(value: T): Readonly<T> {
  return JSON.parse(JSON.stringify(value), (_, part: unknown) => Object.freeze(part)) as T;
}

/** A pattern made of others, which resolve their own parts. */
function combine(
  name: string,
  of: unknown,
  parts: readonly AttentionPattern[],
  join: (parts: readonly BooleanExpression[]) => BooleanExpression,
): AttentionPattern {
  const greatest = parts.map((part) => part.greatestLength ?? defaultGreatestLength);
  const define = (shape: PatternShape): Definition => {
    const nodes = parts.map((part) => part.resolve(shape));
    const { node } = join(nodes.map((part) => new BooleanExpression(part)));
    return { node, readsLength: !nodes.every((part) => servesLengths.has(part)) };
  };
  const rules: PatternRules = { greatestLength: Math.min(...greatest, defaultGreatestLength) };
  return makePattern(name, { of }, rules, define, () => parts.every((part) => part.prefixStable));
}

function join(name: "and" | "or", parts: readonly AttentionPattern[]): AttentionPattern {
  for (const [at, part] of parts.entries()) checkPattern(`${name}: operand ${at}`, part);
  const flat = parts.flatMap((part) => (part.name === name ? joinedParts.get(part) : undefined) ?? [part]);
  const [only, second] = flat;
  if (only && !second) return only;
  const joined = combine(name, flat.map(patternOptions), flat, name === "and" ? allOf : anyOf);
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
  return combine("not", patternOptions(operand), [operand], ([part]) => (part ?? literal(true)).not());
}
