import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { byteTokenizer, loadTokenizer } from "./index.ts";

const specialTokens = { bos: "<|begin|>", eos: "<|end|>", pad: "<|end|>" };
const anyText = fc.string({ unit: "binary", maxLength: 40 });

describe("byteTokenizer", () => {
  it("gives the bytes of UTF-8", () => {
    const tokenizer = byteTokenizer();
    expect(tokenizer.size).toBe(256);
    expect(tokenizer.encode("aé€🙂\n\0")).toEqual([97, 195, 169, 226, 130, 172, 240, 159, 153, 130, 10, 0]);
    expect(tokenizer.encode("")).toEqual([]);
    expect(tokenizer.decode([])).toBe("");
  });

  it("round-trips any text, and any bytes as TextDecoder reads them", () => {
    const tokenizer = byteTokenizer({ specialTokens });
    fc.assert(
      fc.property(anyText, (text) => {
        expect(tokenizer.decode(tokenizer.encode(text))).toBe(text);
      }),
      { seed: 1, numRuns: 500 },
    );
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 12 }), (bytes) => {
        const expected = new TextDecoder("utf-8", { ignoreBOM: true }).decode(bytes);
        expect(tokenizer.decode([...bytes])).toBe(expected);
      }),
      { seed: 2, numRuns: 500 },
    );
    expect(tokenizer.decode([0xef, 0xbb, 0xbf, 0x61])).toBe("\ufeffa");
  });

  it("gives special tokens ids of their own", () => {
    const tokenizer = byteTokenizer({ specialTokens });
    expect(tokenizer.size).toBe(258);
    expect(tokenizer.specialIds).toEqual({ bos: 256, eos: 257, pad: 257 });
    const ids = [256, 104, 105, 257, 33];
    expect(tokenizer.encode("<|begin|>hi<|end|>!")).toEqual(ids);
    expect(tokenizer.decode(ids)).toBe("<|begin|>hi<|end|>!");
    expect(tokenizer.decode(ids, { skipSpecialTokens: true })).toBe("hi!");
    expect([tokenizer.tokenToId("<|end|>"), tokenizer.idToToken(257), tokenizer.idToToken(258)]).toEqual([
      257,
      "<|end|>",
      undefined,
    ]);
    expect([tokenizer.tokenToId("Ġ"), tokenizer.idToToken(32), tokenizer.tokenToId("ab")]).toEqual([
      32,
      "Ġ",
      undefined,
    ]);
  });

  it("loads again from its files as a tokenizer with the same ids", () => {
    const tokenizer = byteTokenizer({ specialTokens });
    const files = tokenizer.toJSON();
    const loaded = loadTokenizer(files["tokenizer.json"]!, files["tokenizer_config.json"]!);
    expect(loaded.size).toBe(258);
    expect(loaded.specialIds).toEqual(tokenizer.specialIds);
    expect(loaded.toJSON()).toEqual(files);
    const text = "Call me <|begin|> Ishmael 🙂\n\t\u0080é<|end|>";
    expect(loaded.encode(text)).toEqual(tokenizer.encode(text));
    for (let id = 0; id < 258; id++) {
      expect(loaded.idToToken(id)).toBe(tokenizer.idToToken(id));
      expect(loaded.tokenBytes(id)).toEqual(tokenizer.tokenBytes(id));
    }
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 0, max: 257 }), { maxLength: 12 }), (ids) => {
        for (const skipSpecialTokens of [true, false])
          expect(loaded.decode(ids, { skipSpecialTokens })).toBe(
            tokenizer.decode(ids, { skipSpecialTokens }),
          );
      }),
      { seed: 3, numRuns: 300 },
    );
    fc.assert(
      fc.property(anyText, (any) => {
        expect(loaded.encode(any)).toEqual(tokenizer.encode(any));
      }),
      { seed: 4, numRuns: 300 },
    );
  });

  it("refuses ids that are not there and special tokens that are no text", () => {
    const tokenizer = byteTokenizer();
    expect(() => tokenizer.decode([1, 256])).toThrow("decode: ids must be integers from 0 to 255, got 256");
    expect(() => tokenizer.decode([0.5])).toThrow("decode: ids must be integers from 0 to 255, got 0.5");
    expect(() => byteTokenizer({ specialTokens: { eos: "" } })).toThrow(
      'byteTokenizer: specialTokens.eos must be a text of 2 characters or more, got ""',
    );
  });
});
