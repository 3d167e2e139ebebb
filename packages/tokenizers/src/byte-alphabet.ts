/**
 * GPT-2's alphabet: a printable character for each byte, by which byte-level vocabularies write their tokens
 * (https://github.com/openai/gpt-2/blob/master/src/encoder.py). Printable Latin-1 stands for itself; the other bytes, in
 * order, take the characters from U+0100.
 */
function alphabet(): readonly string[] {
  const printable = (byte: number): boolean =>
    byte > 0x20 && byte !== 0x7f && !(byte > 0x7f && byte < 0xa1) && byte !== 0xad;
  let next = 0x100;
  return Array.from({ length: 256 }, (_, byte) => String.fromCharCode(printable(byte) ? byte : next++));
}

/** The character of each byte. */
export const byteCharacters: readonly string[] = /* @__PURE__ */ alphabet();

/** The byte of each character. */
export const characterBytes: ReadonlyMap<string, number> = /* @__PURE__ */ new Map(
  byteCharacters.map((character, byte) => [character, byte]),
);
