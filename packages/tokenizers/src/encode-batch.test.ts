import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import {
  byteTokenizer,
  encodeBatch,
  loadTokenizer,
  type EncodeBatchOptions,
  type Truncation,
} from "./index.ts";
import { keptLengths } from "./truncate.ts";

const wordpiece = loadTokenizer(readFileSync(new URL("goldens/wordpiece.json", import.meta.url), "utf8"), {
  pad_token: "[PAD]",
});
const bytes = byteTokenizer();

describe("encodeBatch", () => {
  it("pads to the longest row", () => {
    expect(encodeBatch(wordpiece, ["the whale", ["a", "b c"]])).toEqual({
      ids: [
        [2, 5, 6, 3, 0, 0],
        [2, 12, 3, 13, 14, 3],
      ],
      attentionMask: [
        [1, 1, 1, 1, 0, 0],
        [1, 1, 1, 1, 1, 1],
      ],
      tokenTypes: [
        [0, 0, 0, 0, 0, 0],
        [0, 0, 0, 1, 1, 1],
      ],
      specialMask: [
        [1, 0, 0, 1, 1, 1],
        [1, 0, 1, 0, 0, 1],
      ],
      inputs: [0, 1],
    });
  });

  it("pads to a length, to a multiple, on the left, or not at all", () => {
    const ids = (options: EncodeBatchOptions): number[][] =>
      encodeBatch(wordpiece, ["a", "a b"], options).ids;
    expect(ids({ padding: "max-length", maxLength: 5 })).toEqual([
      [2, 12, 3, 0, 0],
      [2, 12, 13, 3, 0],
    ]);
    expect(ids({ padTo: 8, addSpecialTokens: false })).toEqual([
      [12, 0, 0, 0, 0, 0, 0, 0],
      [12, 13, 0, 0, 0, 0, 0, 0],
    ]);
    expect(ids({ padSide: "left", padId: 4 })).toEqual([
      [4, 2, 12, 3],
      [2, 12, 13, 3],
    ]);
    expect(ids({ padding: false })).toEqual([
      [2, 12, 3],
      [2, 12, 13, 3],
    ]);
    const left = encodeBatch(wordpiece, ["a", "a b"], { padSide: "left" });
    expect([left.attentionMask[0], left.specialMask[0]]).toEqual([
      [0, 1, 1, 1],
      [1, 1, 0, 1],
    ]);
  });

  // t.enable_truncation(n, strategy=…); t.encode("a b c d e", "the whale is").ids, Python's tokenizers 0.22.2
  it.each<[Truncation, number, number[]]>([
    ["longest-first", 4, [2, 12, 3, 3]],
    ["longest-first", 5, [2, 12, 3, 5, 3]],
    ["longest-first", 6, [2, 12, 13, 3, 5, 3]],
    ["longest-first", 7, [2, 12, 13, 3, 5, 6, 3]],
    ["longest-first", 8, [2, 12, 13, 14, 3, 5, 6, 3]],
    ["longest-first", 9, [2, 12, 13, 14, 3, 5, 6, 10, 3]],
    ["longest-first", 10, [2, 12, 13, 14, 15, 3, 5, 6, 10, 3]],
    ["longest-first", 11, [2, 12, 13, 14, 15, 16, 3, 5, 6, 10, 3]],
    ["only-first", 7, [2, 12, 3, 5, 6, 10, 3]],
    ["only-first", 10, [2, 12, 13, 14, 15, 3, 5, 6, 10, 3]],
    ["only-second", 9, [2, 12, 13, 14, 15, 16, 3, 5, 3]],
    ["only-second", 10, [2, 12, 13, 14, 15, 16, 3, 5, 6, 3]],
  ])("truncates a pair %s to %i tokens as Python does", (truncation, maxLength, expected) => {
    const batch = encodeBatch(wordpiece, [["a b c d e", "the whale is"]], { truncation, maxLength });
    expect(batch.ids).toEqual([expected]);
    expect(batch.ids[0]!.length).toBeLessThanOrEqual(maxLength);
  });

  it("keeps of two texts what Hugging Face keeps in 7 tokens, longest first", () => {
    // The values of the tests in huggingface/tokenizers, tokenizers/src/utils/truncation.rs.
    const kept = [0, 2, 4, 8].map((first) =>
      [0, 2, 4, 8].map((second) => keptLengths("longest-first", first, second, 7)!.join("+")),
    );
    expect(kept).toEqual([
      ["0+0", "0+2", "0+4", "0+7"],
      ["2+0", "2+2", "2+4", "2+5"],
      ["4+0", "4+2", "3+4", "3+4"],
      ["7+0", "5+2", "4+3", "3+4"],
    ]);
  });

  it.each<[Truncation, number]>([
    ["only-first", 6],
    ["only-second", 8],
  ])("says when %s cannot make a pair fit into %i tokens", (truncation, maxLength) => {
    const encode = (): unknown =>
      encodeBatch(wordpiece, [["a b c d e", "the whale is"]], { truncation, maxLength });
    expect(encode).toThrow(
      `encodeBatch: inputs[0] must fit into ${maxLength} tokens by truncation "${truncation}", got [5,3]`,
    );
  });

  // t.enable_truncation(n, stride=s, …); [e.ids] + [o.ids for o in e.overflowing]
  it.each<[string | [string, string], EncodeBatchOptions, number[][]]>([
    [
      "a b c d e .",
      { maxLength: 5, stride: 0 },
      [
        [2, 12, 13, 14, 3],
        [2, 15, 16, 17, 3],
      ],
    ],
    [
      "a b c d e .",
      { maxLength: 5, stride: 1 },
      [
        [2, 12, 13, 14, 3],
        [2, 14, 15, 16, 3],
        [2, 16, 17, 3],
      ],
    ],
    [
      "a b c d e .",
      { maxLength: 5, stride: 2 },
      [
        [2, 12, 13, 14, 3],
        [2, 13, 14, 15, 3],
        [2, 14, 15, 16, 3],
        [2, 15, 16, 17, 3],
      ],
    ],
    ["a b c d e .", { maxLength: 8, stride: 2 }, [[2, 12, 13, 14, 15, 16, 17, 3]]],
    [
      ["a b c d e .", "the whale"],
      { maxLength: 8, stride: 2, truncation: "only-first" },
      [
        [2, 12, 13, 14, 3, 5, 6, 3],
        [2, 13, 14, 15, 3, 5, 6, 3],
        [2, 14, 15, 16, 3, 5, 6, 3],
        [2, 15, 16, 17, 3, 5, 6, 3],
      ],
    ],
    [
      ["the whale", "a b c d e ."],
      { maxLength: 8, stride: 2, truncation: "only-second" },
      [
        [2, 5, 6, 3, 12, 13, 14, 3],
        [2, 5, 6, 3, 13, 14, 15, 3],
        [2, 5, 6, 3, 14, 15, 16, 3],
        [2, 5, 6, 3, 15, 16, 17, 3],
      ],
    ],
  ])("gives the windows of %j with %j as Python does", (input, options, expected) => {
    const batch = encodeBatch(wordpiece, ["a", input], { ...options, padding: false });
    expect(batch.ids.slice(1)).toEqual(expected);
    expect(batch.inputs).toEqual([0, ...expected.map(() => 1)]);
  });

  it.each<[string, () => unknown, string]>([
    [
      "no input",
      () => encodeBatch(bytes, []),
      "encodeBatch: inputs must be an array of at least one text, got []",
    ],
    [
      "an empty text",
      () => encodeBatch(bytes, ["a", ""]),
      'encodeBatch: inputs[1] must give at least one token, got "an empty text"',
    ],
    [
      "three texts",
      () => encodeBatch(bytes, JSON.parse('[["a","b","c"]]') as string[]),
      "inputs[0] must be a text or a pair of texts",
    ],
    [
      "a long text without truncation",
      () => encodeBatch(wordpiece, ["a b c d"], { maxLength: 5 }),
      "inputs[0] must have at most 5 tokens with the special ones, or truncation be set, got 6",
    ],
    [
      "no room beside the special tokens",
      () => encodeBatch(wordpiece, ["a b"], { maxLength: 2, truncation: "longest-first" }),
      'inputs[0] must leave room for text in 2 tokens, got "2 special tokens"',
    ],
    [
      "windows over both texts",
      () =>
        encodeBatch(wordpiece, [["a b c", "d e"]], { maxLength: 6, stride: 1, truncation: "longest-first" }),
      'must have truncation "only-first" or "only-second" for windows',
    ],
    [
      "windows over a pair without truncation",
      () => encodeBatch(wordpiece, [["a b c", "d e"]], { maxLength: 6, stride: 1 }),
      "or truncation be set, got 8",
    ],
    [
      "a stride as long as the window",
      () => encodeBatch(wordpiece, ["a b c d"], { maxLength: 5, stride: 3 }),
      "must have windows longer than the stride 3, got 3",
    ],
    [
      "truncation without a length",
      () => encodeBatch(wordpiece, ["a"], { truncation: "only-first" }),
      "encodeBatch: maxLength must be given with truncation, stride or padding to it",
    ],
    [
      "a multiple to pad to without padding",
      () => encodeBatch(wordpiece, ["a"], { padding: false, padTo: 8 }),
      "encodeBatch: padTo must be left out with padding false, which leaves the rows as they are, got 8",
    ],
    [
      "a side to pad without padding",
      () => encodeBatch(wordpiece, ["a"], { padding: false, padSide: "left" }),
      'encodeBatch: padSide must be left out with padding false, which leaves the rows as they are, got "left"',
    ],
    [
      "an id to pad with without padding",
      () => encodeBatch(wordpiece, ["a"], { padding: false, padId: 1 }),
      "encodeBatch: padId must be left out with padding false, which leaves the rows as they are, got 1",
    ],
    [
      "padding without a token for it",
      () => encodeBatch(bytes, ["a", "bc"]),
      "encodeBatch: padId must be given, since the tokenizer has no padding token",
    ],
    [
      "a padding id outside the vocabulary",
      () => encodeBatch(bytes, ["a"], { padId: 256 }),
      "padId must be an integer from 0 to 255, got 256",
    ],
  ])("refuses %s", (_, encode, message) => {
    expect(encode).toThrow(message);
    expect(encode).toThrow(expect.objectContaining({ name: "HeddleError", code: "invalid-argument" }));
  });
});
