import { HeddleError, reject, show } from "@heddle/core";

/** An object as JSON has it; its values are not checked. */
export type JsonObject = Record<string, unknown>;

/** No published vocabulary has more ids; a larger one would only fill the memory. */
const maxId = 2 ** 24 - 1;

function isObject(value: unknown): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function bad(where: string, rule: string, value: unknown): never {
  reject(where, rule, value, "invalid-data");
}

/** Parses JSON where it is text, and checks that it is an object. */
export function jsonObject(where: string, source: unknown): JsonObject {
  let value = source;
  if (typeof source === "string") {
    try {
      value = JSON.parse(source);
    } catch (cause) {
      const reason = cause instanceof Error ? cause.message.slice(0, 200) : show(cause);
      throw new HeddleError("invalid-data", `${where} must be JSON, got ${reason}`, { cause });
    }
  }
  if (!isObject(value)) bad(where, "be a JSON object", value);
  return value;
}

function isId(value: unknown): value is number {
  return Number.isInteger(value) && (value as number) >= 0 && (value as number) <= maxId;
}

function checkVocabulary(where: string, vocab: unknown): Set<number> {
  if (Array.isArray(vocab)) {
    vocab.forEach((entry: unknown, id) => {
      if (!Array.isArray(entry) || typeof entry[0] !== "string" || !Number.isFinite(entry[1]))
        bad(`${where}[${id}]`, "be a token and its score", entry);
    });
    return new Set(vocab.keys());
  }
  if (!isObject(vocab)) bad(where, "be an object of token ids or an array of tokens and scores", vocab);
  const ids = new Set<number>();
  for (const [token, id] of Object.entries(vocab)) {
    if (!isId(id)) bad(`${where}: ${show(token)}`, `be an integer from 0 to ${maxId}`, id);
    if (ids.has(id)) bad(`${where}: ${show(token)}`, "have an id of its own", id);
    ids.add(id);
  }
  return ids;
}

function checkMerges(where: string, merges: unknown): void {
  if (!Array.isArray(merges)) bad(where, "be an array", merges);
  merges.forEach((merge: unknown, index) => {
    const parts = typeof merge === "string" ? merge.split(" ") : merge;
    if (
      !Array.isArray(parts) ||
      parts.length !== 2 ||
      parts.some((part) => typeof part !== "string" || part === "")
    )
      bad(`${where}[${index}]`, "be two tokens", merge);
    if (typeof merge !== typeof merges[0]) bad(`${where}[${index}]`, `be written as merges[0] is`, merge);
  });
}

/** An added token of tokenizer.json. */
export interface AddedToken {
  readonly id: number;
  readonly content: string;
  readonly special: boolean;
}

/**
 * Checks what tokenizer.json must have for its vocabulary to be whole: model, ids, merges, added tokens.
 * The other parts are checked by the library that builds them.
 */
export function checkTokenizerJson(
  where: string,
  json: JsonObject,
): { added: AddedToken[]; highestId: number } {
  const model = json.model;
  if (!isObject(model)) bad(`${where}: model`, "be an object", model);
  const ids = checkVocabulary(`${where}: model.vocab`, model.vocab);
  if (model.type === "BPE" || model.merges !== undefined) checkMerges(`${where}: model.merges`, model.merges);

  const entries: unknown = json.added_tokens ?? [];
  if (!Array.isArray(entries)) bad(`${where}: added_tokens`, "be an array", entries);
  const added = entries.map((entry: unknown, index): AddedToken => {
    const place = `${where}: added_tokens[${index}]`;
    if (!isObject(entry)) bad(place, "be an object", entry);
    if (!isId(entry.id)) bad(`${place}: id`, `be an integer from 0 to ${maxId}`, entry.id);
    if (typeof entry.content !== "string" || entry.content === "")
      bad(`${place}: content`, "be a text that is not empty", entry.content);
    return { id: entry.id, content: entry.content, special: entry.special === true };
  });
  for (const { id } of added) ids.add(id);
  if (ids.size === 0) bad(`${where}: model.vocab`, "have at least one token", model.vocab);
  let highestId = 0;
  for (const id of ids) highestId = Math.max(highestId, id);
  return { added, highestId };
}
