import { describe, expect, it } from "vitest";
import { randomExpression } from "@heddle/conformance";
import { randomStream } from "@heddle/core";
import { BooleanExpression } from "./builders.ts";
import { allows } from "./evaluate.ts";
import { allowedShare, allowsAnything, patternMask } from "./mask.ts";
import { pattern } from "./pattern.ts";
import { causal } from "../patterns/causal.ts";
import { documents } from "../patterns/documents.ts";
import { globalTokens } from "../patterns/global-tokens.ts";
import { prefix } from "../patterns/prefix.ts";
import { slidingWindow } from "../patterns/sliding-window.ts";

const shape = { heads: 2, queryRows: 3, keyLength: 3 };

describe("patternMask", () => {
  it("agrees with allows on 500 random expressions, with attributes, batch rows and offsets", () => {
    for (let index = 0; index < 500; index++) {
      const node = randomExpression({ seed: 21, index });
      const mine = pattern("random", {}, () => new BooleanExpression(node), { greatestLength: 64 });
      const stream = randomStream({ seed: 22, step: index });
      let drawn = 0;
      const draw = (bound: number) => stream.integer(drawn++, bound);
      const [rows, keys, heads, batch] = [1 + draw(7), 1 + draw(11), 1 + draw(3), 1 + draw(3)];
      const queryOffset = Array.from({ length: batch }, () => draw(6));
      const values = (length: number) => Int32Array.from({ length: batch * length }, () => draw(9) - 4);
      const query = { a: values(rows), b: values(rows) };
      const key = { a: values(keys), b: values(keys) };
      const attributes = { batch, query, key };
      const mask = patternMask(mine, { heads, queryRows: rows, keyLength: keys, queryOffset, attributes });
      const bits: number[] = [];
      for (let b = 0; b < mask.batch; b++)
        for (let head = 0; head < mask.heads; head++)
          for (let row = 0; row < rows; row++)
            for (let at = 0; at < keys; at++) {
              const [q, k] = [b * rows + row, b * keys + at];
              const given = {
                query: { a: query.a[q] ?? 0, b: query.b[q] ?? 0 },
                key: { a: key.a[k] ?? 0, b: key.b[k] ?? 0 },
              };
              const first = queryOffset[b] ?? 0;
              const lengths = { queryLength: first + rows, keyLength: keys };
              bits.push(
                allows(node, { query: first + row, key: at, head, ...lengths, attributes: given }) ? 1 : 0,
              );
            }
      expect([...mask.bits], `expression ${index}: ${JSON.stringify(node)}`).toEqual(bits);
    }
  });

  it("has one batch row and one head where all are alike", () => {
    const sizes = (of: Parameters<typeof patternMask>) => {
      const { batch, heads, rows, keys, bits } = patternMask(...of);
      return [batch, heads, rows, keys, bits.length];
    };
    const document = Int32Array.of(0, 0, 1, 0, 1, 1);
    const attributes = { batch: 2, query: { document }, key: { document } };
    expect(sizes([causal(), { ...shape, attributes }])).toEqual([1, 1, 3, 3, 9]);
    expect(sizes([documents(), { ...shape, attributes }])).toEqual([2, 1, 3, 3, 18]);
    expect(sizes([causal(), { ...shape, queryOffset: [0, 0] }])).toEqual([1, 1, 3, 3, 9]);
    expect(sizes([causal(), { ...shape, queryOffset: [0, 2] }])).toEqual([2, 1, 3, 3, 18]);
    const byHead = pattern("by-head", {}, ({ head, key }) => key.isAtMost(head));
    expect(sizes([byHead, shape])).toEqual([1, 2, 3, 3, 18]);
    expect(sizes([causal(), { ...shape, queryRows: 0 }])).toEqual([1, 1, 0, 3, 0]);
  });

  it("refuses attributes that are missing, too short, of another type or too large", () => {
    const message =
      "prefix: mask: attributes.key.p must be an Int32Array of 1 x 3 integers, since the pattern reads it, got";
    const mine = prefix({ attribute: "p" });
    const mask = (key: Record<string, Int32Array>, batch?: number) =>
      patternMask(mine, { ...shape, attributes: { batch, key } });
    expect(() => patternMask(mine, shape)).toThrow(`${message} undefined`);
    expect(() => mask({ p: Int32Array.of(1, 2) })).toThrow(`${message} Int32Array [1,2]`);
    expect(() => mask({ p: [1, 2, 3] as never })).toThrow(`${message} [1,2,3]`);
    expect(() => mask({ p: new Int32Array(3) }, 2)).toThrow("must be an Int32Array of 2 x 3 integers");
    expect(() => mask({ p: Int32Array.of(0, 2 ** 25, 0) })).toThrow(
      "attributes.key.p must be within ±16777216, got 33554432",
    );
    expect(() => mask({ p: new Int32Array(3) }, 0)).toThrow(
      "attributes.batch must be an integer >= 1, got 0",
    );
  });

  it("refuses offsets and shapes that are none", () => {
    expect(() => patternMask(causal(), { ...shape, queryOffset: -1 })).toThrow(
      "causal: mask: queryOffset must be an integer >= 0, got -1",
    );
    expect(() => patternMask(causal(), { ...shape, queryOffset: [0, 0.5] })).toThrow(
      "queryOffset[1] must be an integer >= 0, got 0.5",
    );
    expect(() => patternMask(causal(), { ...shape, queryOffset: [] })).toThrow(
      "queryOffset must have one offset a batch row, got []",
    );
    expect(() => patternMask(causal(), { ...shape, heads: 0 })).toThrow(
      "heads must be an integer from 1 to 65536, got 0",
    );
    expect(() => patternMask(causal(), { ...shape, keyLength: 2 ** 21 })).toThrow(
      "keyLength must be an integer from 0 to 1048576",
    );
    const document = new Int32Array(9);
    const attributes = { batch: 3, query: { document }, key: { document } };
    expect(() => patternMask(documents(), { ...shape, attributes, queryOffset: [0, 1] })).toThrow(
      "documents: mask: queryOffset must have 3 entries, one a batch row of the attributes, got 2",
    );
  });
});

describe("allowsAnything and allowedShare", () => {
  it("find what is allowed in a call", () => {
    expect(allowedShare(causal(), { heads: 4, queryRows: 4, keyLength: 4 })).toBe(10 / 16);
    expect(allowedShare(slidingWindow({ before: 0 }), { heads: 1, queryRows: 5, keyLength: 5 })).toBe(0.2);
    expect(allowsAnything(causal(), shape)).toBe(true);
    expect(allowsAnything(globalTokens([9]), shape)).toBe(false);
    expect(allowsAnything(globalTokens([9]), { ...shape, keyLength: 10 })).toBe(true);
    expect(allowedShare(globalTokens([9]), shape)).toBe(0);
    expect(allowsAnything(causal(), { ...shape, queryRows: 0 })).toBe(false);
    expect(allowedShare(causal(), { ...shape, queryRows: 0 })).toBe(0);
  });
});
