import { checkFields, reject } from "@heddle/core";
import { byteCharacters } from "./byte-alphabet.ts";
import { checkIds } from "./check-ids.ts";
import {
  decodeFields,
  encodeFields,
  plainLayout,
  specialRoles,
  type SpecialRole,
  type Tokenizer,
} from "./tokenizer.ts";

export interface ByteTokenizerOptions {
  /** Special tokens by role; they take the ids from 256, one text one id. @default {} */
  readonly specialTokens?: { readonly [R in SpecialRole]?: string };
}

/** The key of the config that says which token has a role. */
function tokenKey(role: string): string {
  return `${role}_token`;
}

/** The same tokenizer as a Hugging Face tokenizer.json: byte-level BPE without merges. */
function tokenizerJson(specials: readonly string[]): string {
  const byteLevel = { type: "ByteLevel", add_prefix_space: false, trim_offsets: false, use_regex: false };
  const model = {
    type: "BPE",
    dropout: null,
    unk_token: null,
    continuing_subword_prefix: null,
    end_of_word_suffix: null,
    fuse_unk: false,
    byte_fallback: false,
    ignore_merges: false,
    vocab: Object.fromEntries(byteCharacters.map((character, byte) => [character, byte])),
    merges: [],
  };
  const added = specials.map((content, index) => ({
    id: 256 + index,
    content,
    single_word: false,
    lstrip: false,
    rstrip: false,
    normalized: false,
    special: true,
  }));
  const json = {
    version: "1.0",
    truncation: null,
    padding: null,
    added_tokens: added,
    normalizer: null,
    pre_tokenizer: byteLevel,
    post_processor: null,
    decoder: byteLevel,
    model,
  };
  return `${JSON.stringify(json, null, 2)}\n`;
}

/**
 * A tokenizer whose ids 0 to 255 are the bytes of UTF-8: any text round-trips, but for unpaired surrogates, which
 * UTF-8 lacks. Bytes that are no UTF-8 decode to U+FFFD as `TextDecoder` does. No special token is added to a text; one
 * that stands in a text becomes its id.
 */
export function byteTokenizer(options: ByteTokenizerOptions = {}): Tokenizer {
  checkFields("byteTokenizer: options", options, ["specialTokens"]);
  const { specialTokens = {} } = options;
  checkFields("byteTokenizer: specialTokens", specialTokens, specialRoles);
  const roles = Object.entries(specialTokens).filter(([, content]) => content !== undefined);
  for (const [role, content] of roles)
    if (typeof content !== "string" || [...content].length < 2)
      reject(`byteTokenizer: specialTokens.${role}`, "be a text of 2 characters or more", content);
  const specials = [...new Set(roles.map(([, content]) => content))];
  const ids = new Map(specials.map((content, index) => [content, 256 + index]));
  const longestFirst = specials.toSorted((a, b) => b.length - a.length);
  const anySpecial =
    specials.length === 0
      ? undefined
      : new RegExp(
          `(${longestFirst.map((text) => text.replace(/[\\^$.*+?()[\]{}|/-]/g, "\\$&")).join("|")})`,
        );
  const size = 256 + specials.length;
  const utf8 = new TextEncoder();

  function bytesText(bytes: readonly number[]): string {
    return new TextDecoder("utf-8", { ignoreBOM: true }).decode(Uint8Array.from(bytes));
  }

  return {
    size,
    specialIds: Object.fromEntries(roles.map(([role, content]) => [role, ids.get(content)])),
    layout: plainLayout,
    encode(text, encodeOptions = {}) {
      checkFields("encode: options", encodeOptions, encodeFields);
      if (typeof text !== "string") reject("encode: text", "be a string", text);
      const out: number[] = [];
      for (const part of anySpecial ? text.split(anySpecial) : [text]) {
        const special = ids.get(part);
        if (special !== undefined) out.push(special);
        else for (const byte of utf8.encode(part)) out.push(byte);
      }
      return out;
    },
    decode(tokens, decodeOptions = {}) {
      checkFields("decode: options", decodeOptions, decodeFields);
      const { skipSpecialTokens = false } = decodeOptions;
      checkIds("decode: ids", tokens, size);
      let text = "";
      let bytes: number[] = [];
      for (const id of tokens) {
        if (id < 256) bytes.push(id);
        else if (!skipSpecialTokens) {
          text += bytesText(bytes) + specials[id - 256]!;
          bytes = [];
        }
      }
      return text + bytesText(bytes);
    },
    tokenToId(token) {
      const special = ids.get(token);
      if (special !== undefined) return special;
      const byte = byteCharacters.indexOf(token);
      return byte < 0 ? undefined : byte;
    },
    idToToken: (id) => byteCharacters[id] ?? specials[id - 256],
    isSpecial: (id) => id >= 256 && id < size,
    tokenBytes(id) {
      checkIds("tokenBytes: id", [id], size);
      return id < 256
        ? { bytes: Uint8Array.of(id), whole: false }
        : { bytes: utf8.encode(specials[id - 256]), whole: true };
    },
    toJSON() {
      const config = {
        tokenizer_class: "PreTrainedTokenizerFast",
        clean_up_tokenization_spaces: false,
        ...Object.fromEntries(roles.map(([role, content]) => [tokenKey(role), content])),
      };
      return {
        "tokenizer.json": tokenizerJson(specials),
        "tokenizer_config.json": `${JSON.stringify(config, null, 2)}\n`,
      };
    },
  };
}
