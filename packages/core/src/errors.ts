/** What kind of rule was broken; stable, so that a program can act on it. */
export type HeddleErrorCode =
  /** A value given by the caller is out of its range, shape or type. */
  | "invalid-argument"
  /** A file, checkpoint, config or tokenizer does not hold what it claims. */
  | "invalid-data"
  /** Reading or writing failed outside Heddle: disk, network, permission. */
  | "io"
  /** No kernel, backend or mechanism can do what was asked; the message says why. */
  | "unsupported"
  /** Something is used after it was freed, or while another owner holds it. */
  | "invalid-state"
  /** A computation gave NaN or an infinity. */
  | "not-finite";

/** The only error that Heddle throws on purpose. Its message reads `where: must <rule>, got <value>`. */
export class HeddleError extends Error {
  override readonly name = "HeddleError";
  readonly code: HeddleErrorCode;

  constructor(code: HeddleErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }
}

function textOf(value: unknown): string {
  if (typeof value === "function")
    return `function ${typeof value.name === "string" && value.name !== "" ? value.name : "without a name"}`;
  if (typeof value === "bigint") return `${value}n`;
  if (typeof value === "number" || typeof value === "symbol" || value === undefined) return String(value);
  try {
    if (ArrayBuffer.isView(value) && !(value instanceof DataView))
      return `${value.constructor.name} ${JSON.stringify(Array.from(value as Uint8Array).slice(0, 8))}`;
    const text: string | undefined = JSON.stringify(value);
    if (text !== undefined) return text;
  } catch {
    // Circles, bigints within and the like have no JSON.
  }
  return Object.prototype.toString.call(value);
}

/** A value as an error message shows it: short, on one line, never throwing. */
export function show(value: unknown): string {
  let text = "a value that cannot be shown";
  try {
    text = textOf(value);
  } catch {
    // A revoked proxy cannot even be asked what it is.
  }
  return text.length > 120 ? `${text.slice(0, 117)}...` : text;
}

/** Throws `where: must <rule>, got <value>`. */
export function reject(
  where: string,
  rule: string,
  value: unknown,
  code: HeddleErrorCode = "invalid-argument",
): never {
  throw new HeddleError(code, `${where} must ${rule}, got ${show(value)}`);
}

/** Bounds of a number, both inclusive. */
export interface Bounds {
  readonly min?: number;
  readonly max?: number;
}

function bounds({ min, max }: Bounds): string {
  if (min !== undefined && max !== undefined) return ` from ${min} to ${max}`;
  if (min !== undefined) return ` >= ${min}`;
  return max === undefined ? "" : ` <= ${max}`;
}

/** Checks that a value is a safe integer within bounds. `where` names the place, for example `"slidingWindow: before"`. */
export function checkInteger(where: string, value: unknown, range: Bounds = {}): asserts value is number {
  const { min = -Infinity, max = Infinity } = range;
  if (!Number.isSafeInteger(value) || (value as number) < min || (value as number) > max)
    reject(where, `be an integer${bounds(range)}`, value);
}

/** Checks that a value is a finite number within bounds. */
export function checkNumber(where: string, value: unknown, range: Bounds = {}): asserts value is number {
  const { min = -Infinity, max = Infinity } = range;
  if (typeof value !== "number" || !Number.isFinite(value) || value < min || value > max)
    reject(where, `be a number${bounds(range)}`, value);
}

/** Checks that a value is one of a list. */
export function checkOneOf<const T>(
  where: string,
  value: unknown,
  allowed: readonly T[],
): asserts value is T {
  if (!allowed.includes(value as T)) reject(where, `be one of ${allowed.map(show).join(", ")}`, value);
}

/** Checks that two shapes are equal; `null` in the rule stands for any size. */
export function checkShape(where: string, shape: readonly number[], rule: readonly (number | null)[]): void {
  if (shape.length !== rule.length || rule.some((size, axis) => size !== null && size !== shape[axis]))
    reject(where, `have shape [${rule.map((size) => size ?? "any").join(", ")}]`, shape);
}

/** Checks that options are an object with no fields but some, so that none is missing and a misspelt one not ignored. */
export function checkFields<T extends object>(
  where: string,
  given: T,
  fields: readonly (keyof T & string)[],
): void {
  const known: readonly string[] = fields;
  const list = known.join(", ") || "none";
  if (typeof given !== "object" || given === null || Array.isArray(given))
    reject(where, `be an object of ${list}`, given);
  const unknown = Object.keys(given).find((field) => !known.includes(field));
  if (unknown !== undefined) reject(where, `have only the fields ${list}`, unknown);
}

/** Checks that a value, where there is one, is an AbortSignal. */
export function checkSignal(where: string, value: unknown): asserts value is AbortSignal | undefined {
  if (value !== undefined && typeof (value as AbortSignal | null)?.throwIfAborted !== "function")
    reject(where, "be an AbortSignal", value);
}
