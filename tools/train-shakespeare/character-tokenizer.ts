import { reject } from "@heddle/core";
import { loadTokenizer } from "@heddle/tokenizers";
import type { Tokenizer } from "@heddle/tokenizers";

/** A tokenizer whose tokens are the characters of a text, numbered in code point order: BPE without merges. */
export function characterTokenizer(text: string): Tokenizer {
  const characters = [...new Set(text)].toSorted((a, b) => a.codePointAt(0)! - b.codePointAt(0)!);
  if (characters.length === 0) reject("characterTokenizer: text", "hold at least one character", text);
  return loadTokenizer(
    {
      version: "1.0",
      added_tokens: [],
      normalizer: null,
      pre_tokenizer: null,
      post_processor: null,
      decoder: { type: "Fuse" },
      model: {
        type: "BPE",
        unk_token: null,
        byte_fallback: false,
        ignore_merges: false,
        vocab: Object.fromEntries(characters.map((character, id) => [character, id])),
        merges: [],
      },
    },
    { tokenizer_class: "PreTrainedTokenizerFast", clean_up_tokenization_spaces: false },
  );
}

/**
 * The ids of a long text. Character by character, since the tokenizer takes a text as one word.
 * @throws HeddleError for a character that the tokenizer lacks.
 */
export function encodeCharacters(tokenizer: Tokenizer, text: string): Int32Array {
  const ids = new Map<string, number>();
  return Int32Array.from(text, (character) => {
    const id = ids.get(character) ?? tokenizer.tokenToId(character);
    if (id === undefined)
      reject("encodeCharacters: text", "hold characters of the tokenizer only", character);
    ids.set(character, id);
    return id;
  });
}
