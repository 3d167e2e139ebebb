/** What an emitted function reads besides its arguments, and in which order. */
import { reads } from "./tree.ts";
import type { AttributeSide, BooleanTable, ExpressionNode } from "./tree.ts";

/** A token attribute that emitted code reads. */
export interface AttributeSlot {
  readonly of: AttributeSide;
  readonly name: string;
}

/** The inputs of emitted code; the caller lays them out in this order. */
export interface EmitLayout {
  readonly attributes: readonly AttributeSlot[];
  /** Names of looked-up tensors. */
  readonly lookups: readonly string[];
  readonly tables: readonly BooleanTable[];
  /** Entries before each table, in the order of `tables`. */
  readonly tableOffsets: readonly number[];
  /** Entries of all tables. */
  readonly tableSize: number;
}

/** The inputs of some trees together, each once. */
export function emitLayout(nodes: readonly ExpressionNode[]): EmitLayout {
  const all = nodes.map(reads);
  const side = (of: AttributeSide): AttributeSlot[] =>
    [...new Set(all.flatMap(({ attributes }) => [...attributes[of]]))]
      .toSorted()
      .map((name) => ({ of, name }));
  const tables = [...new Set(all.flatMap((read) => read.tables))];
  let tableSize = 0;
  const tableOffsets = tables.map(({ bits }) => {
    tableSize += bits.length;
    return tableSize - bits.length;
  });
  return {
    attributes: [...side("query"), ...side("key")],
    lookups: [...new Set(all.flatMap((read) => [...read.lookups]))].toSorted(),
    tables,
    tableOffsets,
    tableSize,
  };
}

/** All tables one after the other, a byte an entry. */
export function tableBytes({ tables, tableOffsets, tableSize }: EmitLayout): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(tableSize);
  for (const [at, table] of tables.entries()) bytes.set(table.bits, tableOffsets[at]);
  return bytes;
}
