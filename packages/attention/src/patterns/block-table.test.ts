import { describe, expect, it } from "vitest";
import { testPattern } from "@heddle/conformance";
import { draw } from "../expression/picture.ts";
import { fillTable } from "../expression/table.ts";
import { blockTable } from "./block-table.ts";

describe("blockTable", () => {
  testPattern(blockTable({ block: 4, table: ["#..#", ".##.", "####"] }));
  testPattern(blockTable({ block: 3, table: [["#."], [".#"]] }), { heads: 2 });
  it("sees the blocks of its table, and none beyond", () => {
    expect(draw(blockTable({ block: 2, table: ["#.", ".#"] }), 5)).toEqual([
      "##...",
      "##...",
      "..##.",
      "..##.",
      ".....",
    ]);
  });
  it("has a table a head where it is given one", () => {
    const pattern = blockTable({
      block: 1,
      table: [
        ["#.", "##"],
        [".#", "#."],
      ],
    });
    expect(draw(pattern, { queryLength: 2, head: 0, heads: 2 })).toEqual(["#.", "##"]);
    expect(draw(pattern, { queryLength: 2, head: 1, heads: 2 })).toEqual([".#", "#."]);
    expect(() => draw(pattern, 2)).toThrow("block-table: heads must be 2, as its options say, got 1");
  });
  it("takes a table, which it copies, and its JSON", () => {
    const table = fillTable({ heads: 1, rows: 2, columns: 2 }, (_, row, column) => row === column);
    const pattern = blockTable({ block: 1, table });
    table.bits.fill(1);
    expect(draw(pattern, 2)).toEqual(["#.", ".#"]);
    expect(pattern.options["table"]).toEqual({ heads: 1, rows: 2, columns: 2, bits: "CQ==" });
    expect(draw(blockTable({ block: 1, table: { heads: 1, rows: 2, columns: 2, bits: "CQ==" } }), 2)).toEqual(
      ["#.", ".#"],
    );
  });
  it("rejects ragged rows, other characters, wrong bits", () => {
    expect(() => blockTable({ block: 0, table: ["#"] })).toThrow(
      "blockTable: block must be an integer from 1",
    );
    expect(() => blockTable({ block: 1, table: ["##", "#"] })).toThrow(
      "blockTable: table[0] must have rows of 2 characters # or ., got",
    );
    expect(() => blockTable({ block: 1, table: ["#x"] })).toThrow(
      "blockTable: table[0] must have rows of 2 characters # or .",
    );
    expect(() => blockTable({ block: 1, table: [] })).toThrow(
      "blockTable: table must be a list of rows of # and ., got []",
    );
    expect(() => blockTable({ block: 1, table: [["#"], ["#", "#"]] })).toThrow(
      "blockTable: table[1] must have 1 rows",
    );
    expect(() => blockTable({ block: 1, table: null as never })).toThrow(
      "blockTable: table must be rows of # and . or a table",
    );
    const small = { heads: 1, rows: 1, columns: 2 };
    expect(() => blockTable({ block: 1, table: { ...small, bits: Uint8Array.of(1) } })).toThrow(
      "blockTable: table.bits must be a Uint8Array of 2 entries",
    );
    expect(() => blockTable({ block: 1, table: { ...small, bits: Uint8Array.of(1, 2) } })).toThrow(
      "blockTable: table.bits[1] must be 0 or 1, got 2",
    );
    expect(() => blockTable({ block: 1, table: { ...small, bits: "CQ==" } })).toThrow(
      "have no bit beyond the table",
    );
  });
});
