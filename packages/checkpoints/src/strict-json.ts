import { HeddleError } from "@heddle/core";

/** An object as JSON has it; its values are not checked. */
export type JsonObject = Record<string, unknown>;

function invalid(where: string, rule: string, cause?: unknown): never {
  const reason = cause instanceof Error ? `, got ${cause.message.slice(0, 200)}` : "";
  throw new HeddleError("invalid-data", `${where} must ${rule}${reason}`, { cause });
}

/** Where the string that opens at `start` ends: the index after its closing quote. The text is valid JSON. */
function stringEnd(text: string, start: number): number {
  let at = start + 1;
  for (;;) {
    const quote = text.indexOf('"', at);
    let slashes = 0;
    while (text[quote - 1 - slashes] === "\\") slashes++;
    at = quote + 1;
    if (slashes % 2 === 0) return at;
  }
}

/**
 * Refuses a key that an object has twice (`JSON.parse` keeps the last and says nothing) and the key `__proto__`.
 * The text is valid JSON.
 */
function checkKeys(where: string, text: string): void {
  /** One entry a container that is open: its keys so far, or null for an array. */
  const open: (Set<string> | null)[] = [];
  let keyNext = false;
  for (let at = 0; at < text.length; at++) {
    switch (text.charCodeAt(at)) {
      case 0x7b: // {
        open.push(new Set());
        keyNext = true;
        break;
      case 0x5b: // [
        open.push(null);
        keyNext = false;
        break;
      case 0x7d: // }
      case 0x5d: // ]
        open.pop();
        keyNext = false;
        break;
      case 0x2c: // ,
        keyNext = open.at(-1) !== null;
        break;
      case 0x22: {
        const end = stringEnd(text, at);
        const keys = open.at(-1);
        if (keyNext && keys) {
          const key = JSON.parse(text.slice(at, end)) as string;
          if (key === "__proto__") invalid(where, 'not have the key "__proto__"');
          if (keys.has(key))
            invalid(where, `have each key once, got ${JSON.stringify(key.slice(0, 100))} twice`);
          keys.add(key);
        }
        keyNext = false;
        at = end - 1;
      }
    }
  }
}

/**
 * Parses one JSON object from UTF-8 bytes. Beyond the grammar it refuses invalid UTF-8, a byte order mark, a key
 * that appears twice in one object and the key `__proto__`, at any depth.
 *
 * @throws HeddleError invalid-data; `where` names the file.
 */
export function parseJsonObject(where: string, source: Uint8Array | string): JsonObject {
  let text: string;
  let value: unknown;
  try {
    text =
      typeof source === "string"
        ? source
        : new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(source);
    value = JSON.parse(text);
  } catch (cause) {
    invalid(where, "be JSON in UTF-8", cause);
  }
  if (typeof value !== "object" || value === null || Array.isArray(value)) invalid(where, "be a JSON object");
  checkKeys(where, text);
  return value as JsonObject;
}
