import { describe, expect, it } from "vitest";
import { randomExpression, randomModifier } from "@heddle/conformance";
import { constant, fromInteger, lookup, score, variables } from "./builders.ts";
import { emitMaskWgsl, emitModifierWgsl, tableWords } from "./emit-wgsl.ts";
import { softCap } from "../modifiers/soft-cap.ts";
import { blockTable } from "../patterns/block-table.ts";
import { slidingWindow } from "../patterns/sliding-window.ts";

const shape = { heads: 1, queryLength: 8, keyLength: 8 };
const { query, key } = variables;

describe("emitMaskWgsl", () => {
  it("writes a sliding window as one let a node", () => {
    expect(emitMaskWgsl(slidingWindow({ before: 2 }).resolve(shape)).code).toBe(
      `fn allows(query: i32, key: i32, row: i32, head: i32, queryLength: i32, keyLength: i32) -> bool {
  let v0 = key - query;
  let v1 = (-2i) <= v0;
  let v2 = v0 <= 0i;
  let v3 = v1 && v2;
  return v3;
}
`,
    );
  });

  it("floors: shifts and masks for powers of two, a corrected remainder otherwise", () => {
    const code = (node: Parameters<typeof emitMaskWgsl>[0]) => emitMaskWgsl(node).code;
    expect(code(query.dividedBy(8).equals(0).node)).toContain("v0 >> 3u");
    expect(code(query.modulo(8).equals(0).node)).toContain("v0 & 7i");
    expect(code(query.dividedBy(3).equals(0).node)).toContain("v0 / 3i + (v1 >> 31u)");
    expect(code(query.modulo(3).equals(0).node)).toContain("v1 + ((v1 >> 31u) & 3i)");
    expect(code(constant(-(2 ** 31)).equals(query).node)).toContain("i32(-2147483648) == query");
  });

  it("reads tables within bounds, packed 32 a word", () => {
    const { code, layout } = emitMaskWgsl(blockTable({ block: 4, table: ["#.#", "..#"] }).resolve(shape));
    expect(code).toContain("(v1 >= 0i && v1 < 2i) && (v3 >= 0i && v3 < 3i)");
    expect(code).toMatch(
      /let v5 = select\(0i, \(v1\) \* 3i \+ v3, v4\) \+ 0i;\n {2}let v6 = v4 && readTable\(v5\);/,
    );
    expect([...tableWords(layout)]).toEqual([0b100101]);
  });

  it("reads query attributes by row and key attributes by position", () => {
    const { code, layout } = emitMaskWgsl(query.attribute("z").equals(key.attribute("a")).node);
    expect(layout.attributes).toEqual([
      { of: "query", name: "z" },
      { of: "key", name: "a" },
    ]);
    expect(code).toContain("readAttribute(0u, row)");
    expect(code).toContain("readAttribute(1u, key)");
  });

  it("defines every name before it is used, once", () => {
    for (let index = 0; index < 300; index++) {
      checkNames(emitMaskWgsl(randomExpression({ seed: 9, index })).code);
      checkNames(emitModifierWgsl(randomModifier({ seed: 9, index })).code);
    }
  });
});

function checkNames(code: string): void {
  for (const body of code.split("fn ").slice(1)) {
    const known = new Set<string>();
    for (const line of body.split("\n")) {
      const [, name, value = line] = /^ {2}let (v\d+) = (.*);$/.exec(line) ?? [];
      for (const [used] of value.matchAll(/\bv\d+\b/g))
        expect(known.has(used), `${used} in ${line}`).toBe(true);
      if (name) expect(known.has(name)).toBe(false);
      if (name) known.add(name);
    }
  }
}

describe("emitModifierWgsl", () => {
  it("writes a soft cap and its derivative", () => {
    const { code } = emitModifierWgsl(softCap({ cap: 2 }).score);
    expect(code).toContain("fn modify(score: f32, query: i32");
    expect(code).toContain("tanh(clamp(v1, -15f, 15f))");
    expect(code).toContain("fn modifyScoreDerivative(score: f32");
    expect(code).not.toContain("modifyLookup");
  });

  it("gives each lookup its index and derivative", () => {
    const { code, layout } = emitModifierWgsl(
      score.plus(lookup("slope", 0).times(fromInteger(key.minus(query)))).plus(lookup("bias", key)).node,
    );
    expect(layout.lookups).toEqual(["bias", "slope"]);
    expect(code).toContain("readLookup(1u, row, 0i)");
    expect(code).toMatch(/fn modifyLookupIndex0[^\n]*\n {2}return 0i;/);
    expect(code).toMatch(/fn modifyLookupIndex1[^\n]*\n {2}return key;/);
    expect(code).toMatch(/fn modifyLookupDerivative1[^\n]*\n {2}let v0 = 1f;\n {2}return v0;/);
  });
});
