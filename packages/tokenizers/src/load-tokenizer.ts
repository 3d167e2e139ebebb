import { HeddleError, checkFields, reject, show } from "@heddle/core";
import { characterBytes } from "./byte-alphabet.ts";
import { checkIds } from "./check-ids.ts";
import { checkTokenizerJson, jsonObject, type AddedToken, type JsonObject } from "./check-tokenizer-json.ts";
import { classRoles } from "./class-roles.ts";
import { buildHuggingFace, type HuggingFaceTokenizer } from "./hugging-face.ts";
import {
  decodeFields,
  encodeFields,
  plainLayout,
  specialRoles,
  type LayoutItem,
  type SpecialRole,
  type Tokenizer,
} from "./tokenizer.ts";

function invalid(where: string, rule: string, cause: unknown): HeddleError {
  const reason = cause instanceof Error ? cause.message.slice(0, 300) : show(cause);
  return new HeddleError("invalid-data", `${where} must ${rule}, got ${reason}`, { cause });
}

/** The type of a part of tokenizer.json, or of each member of its sequence. */
function partTypes(part: unknown, members: string): unknown[] {
  if (typeof part !== "object" || part === null) return [];
  const { type, [members]: inner } = part as JsonObject;
  return type === "Sequence" && Array.isArray(inner)
    ? inner.flatMap((one) => partTypes(one, members))
    : [type];
}

/** Runs the post-processor over stand-ins for the texts and reads off where they and the special tokens went. */
function readLayout(where: string, json: JsonObject, inner: HuggingFaceTokenizer): Tokenizer["layout"] {
  const process = inner.post_processor;
  if (!process) return plainLayout;
  // No token of a vocabulary holds these: they end in unpaired surrogates.
  const [first, second] = ["first\ud800", "second\ud800"];
  // RoBERTa has one token type; the library gives the second text another.
  const oneType = partTypes(json.post_processor, "processors").includes("RobertaProcessing");

  function layout(pair: boolean): LayoutItem[] {
    const {
      tokens,
      token_type_ids: types,
      tokens_pair: apart,
    } = process!([first], pair ? [second] : null, true);
    const all = apart ? [...tokens, ...apart] : tokens;
    const items = all.map((token, at): LayoutItem => {
      const tokenType = oneType ? 0 : (types?.[at] ?? (at < tokens.length ? 0 : 1));
      if (token === first) return { text: "first", tokenType };
      if (token === second) return { text: "second", tokenType };
      const id = inner.token_to_id(token);
      if (id === undefined)
        reject(`${where}: post_processor`, "add tokens of the vocabulary", token, "invalid-data");
      return { id, tokenType };
    });
    const texts = items.flatMap(({ text }) => text ?? []);
    if (texts.join() !== (pair ? "first,second" : "first"))
      reject(`${where}: post_processor`, "keep each text once and in order", texts, "invalid-data");
    if (pair && !types && !apart && !oneType)
      reject(`${where}: post_processor`, "give the token types of a pair", "none", "unsupported");
    return items;
  }
  return { single: layout(false), pair: layout(true) };
}

function readSpecialIds(
  where: string,
  json: JsonObject,
  config: JsonObject,
  added: readonly AddedToken[],
  inner: HuggingFaceTokenizer,
): Partial<Record<SpecialRole, number>> {
  const ids: Partial<Record<SpecialRole, number>> = {};
  const defaults = classRoles(config, added);
  for (const role of specialRoles) {
    let token = config[`${role}_token`];
    if (typeof token === "object" && token !== null && "content" in token) token = token.content;
    if (role === "unk") token ??= (json.model as JsonObject).unk_token;
    // A role that is there as null has no token, whatever the class.
    if (!Object.hasOwn(config, `${role}_token`)) token ??= defaults[role];
    if (token === undefined || token === null) continue;
    if (typeof token !== "string") reject(`${where}: ${role}_token`, "be a token", token, "invalid-data");
    const id = inner.token_to_id(token);
    if (id === undefined) reject(`${where}: ${role}_token`, "be in the vocabulary", token, "invalid-data");
    ids[role] = id;
  }
  return ids;
}

/**
 * Builds a tokenizer from a Hugging Face tokenizer.json (BPE, WordPiece or Unigram), as text or parsed.
 *
 * @param config tokenizer_config.json, which says the roles of the special tokens; those that it leaves out are those of
 * transformers' class (BERT, RoBERTa, Longformer, GPT-2). @default {}
 * @throws HeddleError invalid-data: the file does not hold a tokenizer; the message names the part.
 */
export function loadTokenizer(json: string | object, config: string | object = {}): Tokenizer {
  const where = "tokenizer.json";
  const parsed = jsonObject(where, json);
  const settings = jsonObject("tokenizer_config.json", config);
  const { added, highestId } = checkTokenizerJson(where, parsed);
  const parts = {
    normalizer: null,
    pre_tokenizer: null,
    post_processor: null,
    decoder: null,
    added_tokens: [],
  };
  let inner: HuggingFaceTokenizer;
  let layout: Tokenizer["layout"];
  try {
    inner = buildHuggingFace({ ...parts, ...parsed }, settings);
    layout = readLayout(where, parsed, inner);
  } catch (cause) {
    if (cause instanceof HeddleError) throw cause;
    throw invalid(where, "describe a tokenizer that can be built", cause);
  }
  const specialIds = readSpecialIds("tokenizer_config.json", parsed, settings, added, inner);
  const size = highestId + 1;
  const addedById = new Map(added.map((token) => [token.id, token]));
  const decoders = partTypes(parsed.decoder, "decoders");
  const byteLevel = decoders.filter((type) => type !== "Fuse").join() === "ByteLevel";
  const utf8 = new TextEncoder();

  function encodePlain(text: string): number[] {
    if (typeof text !== "string") reject("encode: text", "be a string", text);
    let ids: (number | undefined)[];
    let tokens: string[];
    try {
      ({ ids, tokens } = inner.encode(text, { add_special_tokens: false }));
    } catch (cause) {
      throw invalid(where, `encode ${show(text)}`, cause);
    }
    const unknown = ids.indexOf(undefined);
    if (unknown >= 0)
      reject(
        `${where}: model.unk_token`,
        "be in the vocabulary for unknown text",
        tokens[unknown],
        "invalid-data",
      );
    return ids as number[];
  }

  function checkKnown(place: string, ids: readonly number[]): void {
    checkIds(place, ids, size);
    for (const id of ids)
      if (inner.id_to_token(id) === undefined) reject(place, "be ids of the vocabulary", id);
  }

  return {
    size,
    specialIds,
    layout,
    encode(text, options = {}) {
      checkFields("encode: options", options, encodeFields);
      const { addSpecialTokens = true } = options;
      const ids = encodePlain(text);
      return addSpecialTokens ? layout.single.flatMap(({ id }) => id ?? ids) : ids;
    },
    decode(ids, options = {}) {
      checkFields("decode: options", options, decodeFields);
      const { skipSpecialTokens = false } = options;
      checkKnown("decode: ids", ids);
      const kept = skipSpecialTokens ? ids.filter((id) => !addedById.get(id)?.special) : [...ids];
      if (kept.length === 0) return "";
      try {
        // The files' own decoder says what is cleaned up; the old extra step would change texts such as " ." again.
        return inner.decode(kept, { skip_special_tokens: false, clean_up_tokenization_spaces: false });
      } catch (cause) {
        throw invalid(where, `decode ${show(ids)}`, cause);
      }
    },
    tokenToId: (token) => inner.token_to_id(token),
    idToToken: (id) => inner.id_to_token(id),
    isSpecial: (id) => addedById.get(id)?.special === true,
    tokenBytes(id) {
      checkKnown("tokenBytes: id", [id]);
      if (!byteLevel) return undefined;
      const token = addedById.get(id);
      if (token) return { bytes: utf8.encode(token.content), whole: true };
      // A character outside the alphabet is a zero byte to the decoder.
      return {
        bytes: Uint8Array.from([...inner.id_to_token(id)!], (c) => characterBytes.get(c) ?? 0),
        whole: false,
      };
    },
    toJSON() {
      const text = (value: string | object): string =>
        typeof value === "string" ? value : `${JSON.stringify(value, null, 2)}\n`;
      return { "tokenizer.json": text(json), "tokenizer_config.json": text(config) };
    },
  };
}
