/** The mask of a pattern for one call: [B|1, H|1, rows, keys], one byte of 0 or 1 a pair. */
import { checkInteger, reject } from "@heddle/core";
import { compileBoolean } from "./compile.ts";
import type { Frame, FrameAttributes } from "./compile.ts";
import { checkPatternShape } from "./pattern.ts";
import { attributeLimit, reads } from "./tree.ts";
import type { AttentionPattern, AttributeSide, BooleanNode, Reads } from "./tree.ts";

/** Token attributes of a call: integers within ±2^24 by name, [batch, rows] for queries and [batch, keys] for keys. */
export interface TokenAttributes {
  /** Batch rows of every array. @default 1 */
  readonly batch?: number;
  readonly query?: Readonly<Record<string, Int32Array>>;
  readonly key?: Readonly<Record<string, Int32Array>>;
}

/** The call that a mask is for. */
export interface MaskShape {
  readonly heads: number;
  readonly queryRows: number;
  readonly keyLength: number;
  /** Position of the first query row, or one a batch row. @default 0 */
  readonly queryOffset?: number | readonly number[];
  readonly attributes?: TokenAttributes;
}

/** A mask; `batch` is 1 when all batch rows are alike, `heads` 1 when all heads are. */
export interface PatternMask {
  readonly batch: number;
  readonly heads: number;
  readonly rows: number;
  readonly keys: number;
  /** [batch, heads, rows, keys], 1 where the pair is allowed. */
  readonly bits: Uint8Array<ArrayBuffer>;
}

/** The mask of a pattern for a call. Throws when an attribute that it reads is missing or has another length. */
export function patternMask(pattern: AttentionPattern, shape: MaskShape): PatternMask {
  const planned = planMask(pattern, shape);
  const { batch, heads, rows, keys } = planned;
  const bits = new Uint8Array(batch * heads * rows * keys);
  let at = 0;
  for (let b = 0; b < batch; b++)
    for (let head = 0; head < heads; head++)
      for (let row = 0; row < rows; row++, at += keys) planned.fill(b, head, row, bits, at);
  return { batch, heads, rows, keys, bits };
}

/** A mask that is made row by row. */
export interface MaskPlan {
  readonly batch: number;
  readonly heads: number;
  readonly rows: number;
  readonly keys: number;
  /** Writes one row of keys to `out` from `at`. */
  fill(batch: number, head: number, row: number, out: Uint8Array, at: number): void;
}

const noAttributes: FrameAttributes = { query: {}, key: {} };

/** A pattern in one batch row of a call. */
export interface PatternRow {
  readonly expression: BooleanNode;
  /** Position of the first query row. */
  readonly queryOffset: number;
  /** The attributes that the expression reads, of this batch row. */
  readonly attributes: FrameAttributes;
}

/** A pattern in a call, checked. */
export interface ResolvedPattern {
  /** 1 when all batch rows are alike. */
  readonly batch: number;
  /** 1 when all heads are alike. */
  readonly heads: number;
  /** One for each of `batch`. */
  readonly rows: readonly PatternRow[];
}

/** What a pattern says in a call. Throws when an attribute that it reads is missing or has another length. */
export function resolvePattern(pattern: AttentionPattern, shape: MaskShape): ResolvedPattern {
  const { heads, queryRows, keyLength, queryOffset = 0, attributes = {} } = shape;
  const where = `${pattern.name}: mask`;
  checkInteger(`${where}: queryRows`, queryRows, { min: 0 });
  const offsets = typeof queryOffset === "number" ? [queryOffset] : queryOffset;
  if (offsets.length === 0) reject(`${where}: queryOffset`, "have one offset a batch row", offsets);
  const expressions = offsets.map((offset, at): BooleanNode => {
    checkInteger(`${where}: queryOffset${offsets.length > 1 ? `[${at}]` : ""}`, offset, { min: 0 });
    const resolved = { heads, queryLength: offset + queryRows, keyLength };
    checkPatternShape(where, resolved, pattern.greatestLength);
    return pattern.resolve(resolved);
  });
  const all = expressions.map(reads);
  const used = { query: union(all, "query"), key: union(all, "key") };
  const usesAttributes = used.query.size + used.key.size > 0;
  const attributeRows = usesAttributes ? (attributes.batch ?? 1) : 1;
  checkInteger(`${where}: attributes.batch`, attributeRows, { min: 1 });
  if (attributeRows > 1 && offsets.length > 1 && attributeRows !== offsets.length)
    reject(
      `${where}: queryOffset`,
      `have ${attributeRows} entries, one a batch row of the attributes`,
      offsets.length,
    );
  const place = { where, reader: "the pattern" };
  const ofRow = (row: number): FrameAttributes => {
    if (!usesAttributes) return noAttributes;
    const of = (side: AttributeSide, length: number): Record<string, Int32Array> =>
      attributesOfRow(place, side, used[side], attributes, { row, batch: attributeRows, length });
    return { query: of("query", queryRows), key: of("key", keyLength) };
  };
  const frames = Array.from({ length: attributeRows }, (_, row) => ofRow(row));
  const alike = offsets.every((offset) => offset === offsets[0]);
  const batch = Math.max(attributeRows, alike ? 1 : offsets.length);
  return {
    batch,
    heads: all.some(({ variables }) => variables.has("head")) ? heads : 1,
    rows: Array.from({ length: batch }, (_, row) => {
      const which = Math.min(row, offsets.length - 1);
      return {
        expression: expressions[which]!,
        queryOffset: offsets[which]!,
        attributes: frames[Math.min(row, frames.length - 1)]!,
      };
    }),
  };
}

/** The rows of a pattern's mask, made when asked for. */
export function planMask(pattern: AttentionPattern, shape: MaskShape): MaskPlan {
  const { queryRows, keyLength } = shape;
  const { batch, heads, rows } = resolvePattern(pattern, shape);
  const frame: Frame = {
    query: 0,
    row: 0,
    head: 0,
    queryLength: 0,
    keyLength,
    keyStart: 0,
    keyStep: 1,
    keyCount: keyLength,
    attributes: noAttributes,
    run: 0,
  };
  return {
    batch,
    heads,
    rows: queryRows,
    keys: keyLength,
    fill(b, head, row, out, at) {
      const { expression, queryOffset, attributes } = rows[b]!;
      frame.query = queryOffset + row;
      frame.row = row;
      frame.head = head;
      frame.queryLength = queryOffset + queryRows;
      frame.attributes = attributes;
      compileBoolean(expression)(frame, out, at);
    },
  };
}

function union(all: readonly Reads[], side: AttributeSide): ReadonlySet<string> {
  return new Set(all.flatMap(({ attributes }) => [...attributes[side]]));
}

/** The attributes of one batch row that an expression reads, checked. */
export function attributesOfRow(
  { where, reader }: { where: string; reader: string },
  side: AttributeSide,
  names: ReadonlySet<string>,
  attributes: TokenAttributes,
  { row, batch, length }: { row: number; batch: number; length: number },
): Record<string, Int32Array> {
  const found: [string, Int32Array][] = [];
  for (const name of names) {
    const place = `${where}: attributes.${side}.${name}`;
    const given = attributes[side];
    const values = given && Object.hasOwn(given, name) ? given[name] : undefined;
    if (!(values instanceof Int32Array) || values.length !== batch * length)
      reject(place, `be an Int32Array of ${batch} x ${length} integers, since ${reader} reads it`, values);
    const part = values.subarray(row * length, (row + 1) * length);
    const wrong = part.find((value) => Math.abs(value) > attributeLimit);
    if (wrong !== undefined) reject(place, `be within ±${attributeLimit}`, wrong);
    found.push([name, part]);
  }
  return Object.fromEntries(found);
}

/** Whether a pattern allows any pair at all in a call; a call where it does not is one to refuse. */
export function allowsAnything(pattern: AttentionPattern, shape: MaskShape): boolean {
  const plan = planMask(pattern, shape);
  const line = new Uint8Array(plan.keys);
  for (let b = 0; b < plan.batch; b++)
    for (let head = 0; head < plan.heads; head++)
      for (let row = 0; row < plan.rows; row++) {
        plan.fill(b, head, row, line, 0);
        if (line.includes(1)) return true;
      }
  return false;
}

/** The share of pairs that a pattern allows in a call, from 0 to 1; 0 when there is no pair. */
export function allowedShare(pattern: AttentionPattern, shape: MaskShape): number {
  const plan = planMask(pattern, shape);
  const line = new Uint8Array(plan.keys);
  let allowed = 0;
  for (let b = 0; b < plan.batch; b++)
    for (let head = 0; head < plan.heads; head++)
      for (let row = 0; row < plan.rows; row++) {
        plan.fill(b, head, row, line, 0);
        for (const bit of line) allowed += bit;
      }
  const pairs = plan.batch * plan.heads * plan.rows * plan.keys;
  return pairs === 0 ? 0 : allowed / pairs;
}
