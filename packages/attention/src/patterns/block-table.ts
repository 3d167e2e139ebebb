import { checkFields, checkInteger, reject } from "@heddle/core";
import { lookupTable } from "../expression/builders.ts";
import { pattern } from "../expression/pattern.ts";
import { checkTable, tableFromJSON, tableFromPicture, tableToJSON } from "../expression/table.ts";
import type { TableJSON, TablePicture } from "../expression/table.ts";
import type { AttentionPattern, BooleanTable } from "../expression/tree.ts";

export interface BlockTableOptions {
  /** Tokens of a block. */
  readonly block: number;
  /**
   * Which key blocks each query block sees: rows of `#` and `.` (one list for all heads or one a head), a table, or
   * its JSON. Blocks beyond the table see nothing and are not seen.
   */
  readonly table: TablePicture | BooleanTable | TableJSON;
}

/**
 * Block-sparse attention by a table [heads, query blocks, key blocks]: Sparse Transformer,
 * https://arxiv.org/abs/1904.10509 §5.5.
 */
export function blockTable(options: BlockTableOptions): AttentionPattern {
  checkFields("blockTable: options", options, ["block", "table"]);
  const { block, table: given } = options;
  checkInteger("blockTable: block", block, { min: 1, max: 2 ** 20 });
  const table = read(given);
  return pattern(
    "block-table",
    { block, table: tableToJSON(table) },
    ({ query, key }) => lookupTable(table, { row: query.dividedBy(block), column: key.dividedBy(block) }),
    { heads: table.heads === 1 ? undefined : table.heads },
  );
}

function read(given: BlockTableOptions["table"]): BooleanTable {
  const where = "blockTable: table";
  if (typeof given !== "object" || given === null) reject(where, "be rows of # and . or a table", given);
  if (!("bits" in given)) return tableFromPicture(where, given);
  if (!("BYTES_PER_ELEMENT" in Object(given.bits))) return tableFromJSON(where, given);
  const table = given as BooleanTable;
  checkTable(where, table);
  return { heads: table.heads, rows: table.rows, columns: table.columns, bits: table.bits.slice() };
}
