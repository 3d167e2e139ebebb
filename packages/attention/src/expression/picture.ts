/** Pictures of patterns, a row of characters a query. */
import { checkFields, checkInteger } from "@heddle/core";
import { planMask } from "./mask.ts";
import type { TokenAttributes } from "./mask.ts";
import { checkPattern } from "./pattern.ts";
import type { AttentionPattern } from "./tree.ts";

/** What is drawn. */
export interface PictureOptions {
  /** Rows of the picture. */
  readonly queryLength: number;
  /** @default queryLength */
  readonly keyLength?: number;
  /** The head that is drawn. @default 0 */
  readonly head?: number;
  /** @default head + 1 */
  readonly heads?: number;
  /** Token attributes of one batch row, where the pattern reads any. */
  readonly attributes?: TokenAttributes;
  /**
   * Greatest number of columns. A wider picture is scaled by a whole number both ways, and each character then
   * shades a square of pairs: `.` none, `░▒▓` up to a third, two thirds, nearly all, `#` all.
   * @default keyLength
   */
  readonly columns?: number;
}

const shades = ["░", "▒", "▓"] as const;

/**
 * Draws which keys each query sees: `#` allowed, `.` not. A number draws that many queries and keys.
 *
 * @example
 * draw(slidingWindow({ before: 1 }), 4); // ["#...", "##..", ".##.", "..##"]
 */
export function draw(pattern: AttentionPattern, what: number | PictureOptions): string[] {
  const options: PictureOptions = typeof what === "number" ? { queryLength: what } : what;
  checkFields("draw: options", options, [
    "queryLength",
    "keyLength",
    "head",
    "heads",
    "attributes",
    "columns",
  ]);
  const {
    queryLength,
    keyLength = queryLength,
    head = 0,
    heads = head + 1,
    attributes,
    columns = keyLength,
  } = options;
  checkPattern("draw: pattern", pattern);
  checkInteger("draw: queryLength", queryLength, { min: 0 });
  checkInteger("draw: keyLength", keyLength, { min: 0 });
  checkInteger("draw: head", head, { min: 0, max: heads - 1 });
  checkInteger("draw: columns", columns, { min: keyLength === 0 ? 0 : 1 });
  const plan = planMask(pattern, { heads, queryRows: queryLength, keyLength, attributes });
  const cell = Math.max(1, Math.ceil(keyLength / Math.max(1, columns)));
  const width = Math.ceil(keyLength / cell);
  const line = new Uint8Array(keyLength);
  const picture: string[] = [];
  for (let top = 0; top < queryLength; top += cell) {
    const rows = Math.min(cell, queryLength - top);
    const counts = new Int32Array(width);
    for (let row = top; row < top + rows; row++) {
      plan.fill(0, Math.min(head, plan.heads - 1), row, line, 0);
      for (let key = 0; key < keyLength; key++) counts[Math.floor(key / cell)]! += line[key]!;
    }
    picture.push(
      Array.from(counts, (count, at) => shade(count, rows * Math.min(cell, keyLength - at * cell))).join(""),
    );
  }
  return picture;
}

function shade(count: number, of: number): string {
  if (count === 0) return ".";
  if (count === of) return "#";
  return shades[Math.min(2, Math.floor((count / of) * 3))]!;
}
