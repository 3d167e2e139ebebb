/** Texts to rows of ids of one length. Shapes: every result is [rows][tokens]. */
import { checkFields, checkInteger, checkOneOf, reject } from "@heddle/core";
import type { LayoutItem, Tokenizer } from "./tokenizer.ts";
import { keptLengths, windows, type Truncation } from "./truncate.ts";

export interface EncodeBatchOptions {
  /** To the longest row, to `maxLength`, or not at all (rows of different lengths). @default "longest" */
  readonly padding?: "longest" | "max-length" | false;
  /** What gives way in a row longer than `maxLength`; with false, such a row is an error. @default false */
  readonly truncation?: Truncation | false;
  /** The longest row with its special tokens. @default no limit */
  readonly maxLength?: number;
  /** The padded length is a multiple of this; not with `padding: false`. @default 1 */
  readonly padTo?: number;
  /**
   * Gives every token of a text that is too long: it becomes several rows, each sharing this many tokens with the one
   * before. A pair needs truncation "only-first" or "only-second". @default undefined: what is too long is cut off
   */
  readonly stride?: number;
  /** @default true */
  readonly addSpecialTokens?: boolean;
  /** @default tokenizer.specialIds.pad */
  readonly padId?: number;
  /** Where the padding goes. @default "right" */
  readonly padSide?: "right" | "left";
}

const optionFields = [
  "padding",
  "truncation",
  "maxLength",
  "padTo",
  "stride",
  "addSpecialTokens",
  "padId",
  "padSide",
] as const satisfies readonly (keyof EncodeBatchOptions)[];

/** Rows for a model, one or more (with `stride`) for each input, in their order. */
export interface EncodedBatch {
  readonly ids: number[][];
  /** 1 for a token, 0 for padding. */
  readonly attentionMask: number[][];
  /** 0 for the first text, 1 for the second (as the tokenizer's layout says), 0 for padding. */
  readonly tokenTypes: number[][];
  /** 1 for special tokens and padding, 0 for tokens of the texts. */
  readonly specialMask: number[][];
  /** Which input each row comes from. */
  readonly inputs: number[];
}

type Pair = readonly [first: string, second: string];

interface Row {
  readonly ids: number[];
  readonly tokenTypes: number[];
  readonly special: number[];
}

function fill(layout: readonly LayoutItem[], first: readonly number[], second: readonly number[]): Row {
  const row: Row = { ids: [], tokenTypes: [], special: [] };
  for (const { id, text, tokenType } of layout) {
    const ids = id === undefined ? (text === "first" ? first : second) : [id];
    for (const one of ids) {
      row.ids.push(one);
      row.tokenTypes.push(tokenType);
      row.special.push(id === undefined ? 0 : 1);
    }
  }
  return row;
}

interface Limits {
  readonly layout: Tokenizer["layout"];
  readonly truncation: Truncation | false;
  readonly maxLength: number;
  readonly stride: number | undefined;
}

/** The rows of one text or pair: one, or its overflow windows. */
function rowsOf(
  where: string,
  first: readonly number[],
  second: readonly number[] | undefined,
  limits: Limits,
): Row[] {
  const { truncation, maxLength, stride } = limits;
  const layout = second ? limits.layout.pair : limits.layout.single;
  const room = maxLength - layout.filter(({ id }) => id !== undefined).length;
  const length = first.length + (second?.length ?? 0);
  if (length === 0) reject(where, "give at least one token", "an empty text");
  if (length <= room) return [fill(layout, first, second ?? [])];
  const rule = !second && (truncation || stride !== undefined) ? "only-first" : truncation;
  if (!rule)
    reject(
      where,
      `have at most ${maxLength} tokens with the special ones, or truncation be set`,
      maxLength - room + length,
    );
  if (room < 1)
    reject(where, `leave room for text in ${maxLength} tokens`, `${maxLength - room} special tokens`);
  const kept = keptLengths(rule, first.length, second?.length ?? 0, room);
  if (!kept)
    reject(where, `fit into ${maxLength} tokens by truncation "${rule}"`, [
      first.length,
      second?.length ?? 0,
    ]);
  const [keepFirst, keepSecond] = kept;
  if (stride === undefined)
    return [fill(layout, first.slice(0, keepFirst), second?.slice(0, keepSecond) ?? [])];
  if (rule === "longest-first")
    reject(where, 'have truncation "only-first" or "only-second" for windows', rule);
  const cut = rule === "only-first" ? first : (second ?? []);
  const size = rule === "only-first" ? keepFirst : keepSecond;
  if (stride >= size) reject(where, `have windows longer than the stride ${stride}`, size);
  return windows(cut.length, size, stride).map(([start, end]) => {
    const part = cut.slice(start, end);
    return rule === "only-first" ? fill(layout, part, second ?? []) : fill(layout, first, part);
  });
}

function checkInput(where: string, input: string | Pair): readonly string[] {
  const texts = typeof input === "string" ? [input] : input;
  if (
    !Array.isArray(texts) ||
    texts.length > 2 ||
    texts.length === 0 ||
    texts.some((text) => typeof text !== "string")
  )
    reject(where, "be a text or a pair of texts", input);
  return texts;
}

/**
 * Encodes texts or pairs of texts into rows for a model.
 *
 * @throws HeddleError invalid-argument names the input: an empty text, one too long without truncation, a pair that
 * truncation cannot make fit, padding without a padding token.
 */
export function encodeBatch(
  tokenizer: Tokenizer,
  inputs: readonly (string | Pair)[],
  options: EncodeBatchOptions = {},
): EncodedBatch {
  const where = "encodeBatch";
  checkFields(`${where}: options`, options, optionFields);
  const { padding = "longest", truncation = false, maxLength = Infinity, padTo = 1, stride } = options;
  const { addSpecialTokens = true, padId = tokenizer.specialIds.pad, padSide = "right" } = options;
  if (!Array.isArray(inputs) || inputs.length === 0)
    reject(`${where}: inputs`, "be an array of at least one text", inputs);
  checkOneOf(`${where}: padding`, padding, ["longest", "max-length", false]);
  checkOneOf(`${where}: truncation`, truncation, ["longest-first", "only-first", "only-second", false]);
  checkOneOf(`${where}: padSide`, padSide, ["right", "left"]);
  if (maxLength !== Infinity) checkInteger(`${where}: maxLength`, maxLength, { min: 1 });
  else if (truncation || padding === "max-length" || stride !== undefined)
    reject(`${where}: maxLength`, "be given with truncation, stride or padding to it", undefined);
  for (const name of ["padTo", "padId", "padSide"] as const)
    if (padding === false && options[name] !== undefined)
      reject(
        `${where}: ${name}`,
        "be left out with padding false, which leaves the rows as they are",
        options[name],
      );
  checkInteger(`${where}: padTo`, padTo, { min: 1 });
  if (stride !== undefined) checkInteger(`${where}: stride`, stride, { min: 0 });
  if (padId !== undefined) checkInteger(`${where}: padId`, padId, { min: 0, max: tokenizer.size - 1 });

  const plain = (items: readonly LayoutItem[]): LayoutItem[] => items.filter(({ id }) => id === undefined);
  const layout = addSpecialTokens
    ? tokenizer.layout
    : { single: plain(tokenizer.layout.single), pair: plain(tokenizer.layout.pair) };
  const limits: Limits = { layout, truncation, maxLength, stride };

  const batch: EncodedBatch = { ids: [], attentionMask: [], tokenTypes: [], specialMask: [], inputs: [] };
  const rows: Row[] = [];
  inputs.forEach((input, index) => {
    const place = `${where}: inputs[${index}]`;
    const [first, second] = checkInput(place, input).map((text) =>
      tokenizer.encode(text, { addSpecialTokens: false }),
    );
    for (const row of rowsOf(place, first!, second, limits)) {
      rows.push(row);
      batch.inputs.push(index);
    }
  });

  const longest = padding === "max-length" ? maxLength : Math.max(...rows.map(({ ids }) => ids.length));
  const width = Math.ceil(longest / padTo) * padTo;
  for (const { ids, tokenTypes, special } of rows) {
    const missing = padding === false ? 0 : width - ids.length;
    if (missing > 0 && padId === undefined)
      reject(`${where}: padId`, "be given, since the tokenizer has no padding token", padId);
    const pad = (row: number[], value: number): number[] => {
      const more = Array.from({ length: missing }, () => value);
      return padSide === "right" ? [...row, ...more] : [...more, ...row];
    };
    batch.ids.push(pad(ids, padId ?? 0));
    batch.attentionMask.push(
      pad(
        ids.map(() => 1),
        0,
      ),
    );
    batch.tokenTypes.push(pad(tokenTypes, 0));
    batch.specialMask.push(pad(special, 1));
  }
  return batch;
}
