/** Boolean tables: made from pictures, checked, packed to bits and back. H heads, R rows, C columns. */
import { checkInteger, reject } from "@heddle/core";
import type { BooleanTable } from "./tree.ts";

/** A table as JSON: `bits` is the base64 of its entries in [head][row][column] order, eight a byte, lowest bit first. */
export interface TableJSON {
  readonly heads: number;
  readonly rows: number;
  readonly columns: number;
  readonly bits: string;
}

/** Rows of `#` and `.`, the same for all heads or one list a head. */
export type TablePicture = readonly string[] | readonly (readonly string[])[];

/** A table's fields before they are checked. */
type Unchecked = Readonly<Partial<Record<keyof TableJSON, unknown>>>;

const greatestSize = 2 ** 26;

function checkedSizes(where: string, { heads, rows, columns }: Unchecked): Omit<TableJSON, "bits"> {
  checkInteger(`${where}.heads`, heads, { min: 1, max: greatestSize });
  checkInteger(`${where}.rows`, rows, { min: 1, max: greatestSize });
  checkInteger(`${where}.columns`, columns, { min: 1, max: greatestSize });
  const size = heads * rows * columns;
  if (size > greatestSize) reject(where, `have at most ${greatestSize} entries`, size);
  return { heads, rows, columns };
}

/** Checks a table's sizes and that every entry is 0 or 1. */
export function checkTable(where: string, table: BooleanTable): void {
  const { heads, rows, columns } = checkedSizes(where, table);
  const size = heads * rows * columns;
  if (!(table.bits instanceof Uint8Array) || table.bits.length !== size)
    reject(`${where}.bits`, `be a Uint8Array of ${size} entries`, table.bits);
  const wrong = table.bits.findIndex((bit) => bit > 1);
  if (wrong >= 0) reject(`${where}.bits[${wrong}]`, "be 0 or 1", table.bits[wrong]);
}

/** A table filled by a function of (head, row, column). */
export function fillTable(
  sizes: Omit<TableJSON, "bits">,
  entry: (head: number, row: number, column: number) => boolean,
): BooleanTable {
  const { heads, rows, columns } = checkedSizes("table", sizes);
  const bits = new Uint8Array(heads * rows * columns);
  let at = 0;
  for (let head = 0; head < heads; head++)
    for (let row = 0; row < rows; row++)
      for (let column = 0; column < columns; column++) bits[at++] = entry(head, row, column) ? 1 : 0;
  return { heads, rows, columns, bits };
}

/** A table from rows of `#` and `.`. */
export function tableFromPicture(where: string, picture: TablePicture): BooleanTable {
  if (!Array.isArray(picture) || picture.length === 0) reject(where, "be a list of rows of # and .", picture);
  const perHead = (typeof picture[0] === "string" ? [picture] : picture) as readonly (readonly string[])[];
  const first = perHead[0];
  const [rows, columns] = [first?.length ?? 0, first?.[0]?.length ?? 0];
  for (const [head, lines] of perHead.entries()) {
    if (!Array.isArray(lines) || lines.length !== rows)
      reject(`${where}[${head}]`, `have ${rows} rows`, lines);
    for (const line of lines)
      if (typeof line !== "string" || line.length !== columns || !/^[#.]+$/.test(line))
        reject(`${where}[${head}]`, `have rows of ${columns} characters # or .`, line);
  }
  return fillTable({ heads: perHead.length, rows, columns }, (h, r, c) => perHead[h]?.[r]?.[c] === "#");
}

/** Entries packed eight a byte, lowest bit first, padded with zeros to a whole number of `align` bytes. */
export function packBits(bits: Uint8Array, align = 1): Uint8Array<ArrayBuffer> {
  const packed = new Uint8Array(Math.ceil(bits.length / 8 / align) * align);
  for (let at = 0; at < bits.length; at++)
    packed[at >> 3] = (packed[at >> 3] ?? 0) | ((bits[at] ?? 0) << (at & 7));
  return packed;
}

/** A table as JSON. */
export function tableToJSON({ heads, rows, columns, bits }: BooleanTable): TableJSON {
  const packed = packBits(bits);
  let text = "";
  for (let at = 0; at < packed.length; at += 4096)
    text += String.fromCharCode(...packed.subarray(at, at + 4096));
  return { heads, rows, columns, bits: btoa(text) };
}

/** A table from JSON. Throws when the sizes and the bits do not fit, or a bit beyond the table is set. */
export function tableFromJSON(where: string, json: Unchecked): BooleanTable {
  const { heads, rows, columns } = checkedSizes(where, json);
  const size = heads * rows * columns;
  const bytes = Math.ceil(size / 8);
  const rule = `be the base64 of ${bytes} bytes`;
  const encoded = json.bits;
  if (typeof encoded !== "string" || encoded.length !== Math.ceil(bytes / 3) * 4)
    reject(`${where}.bits`, rule, encoded);
  let text: string;
  try {
    text = atob(encoded);
  } catch {
    return reject(`${where}.bits`, rule, encoded);
  }
  if (text.length !== bytes) reject(`${where}.bits`, rule, encoded);
  const bits = new Uint8Array(size);
  for (let at = 0; at < size; at++) bits[at] = (text.charCodeAt(at >> 3) >> (at & 7)) & 1;
  const table = { heads, rows, columns, bits };
  if (tableToJSON(table).bits !== encoded) reject(`${where}.bits`, "have no bit beyond the table", encoded);
  return table;
}
