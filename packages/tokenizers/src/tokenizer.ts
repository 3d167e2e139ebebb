/** The roles that special tokens have in a model. */
export const specialRoles = ["pad", "bos", "eos", "unk", "mask", "cls", "sep"] as const;
/** One of them. */
export type SpecialRole = (typeof specialRoles)[number];

/** One place of a sequence with its special tokens: a special token, or all tokens of the first or second text. */
export interface LayoutItem {
  /** The special token here, or undefined where a text stands. */
  readonly id?: number;
  readonly text?: "first" | "second";
  /** The token type (segment) of these tokens. */
  readonly tokenType: number;
}

export interface EncodeOptions {
  /** Adds the tokens that the model expects around a text, for example `[CLS]` and `[SEP]`. @default true */
  readonly addSpecialTokens?: boolean;
}

export interface DecodeOptions {
  /** Leaves special tokens out of the text. @default false */
  readonly skipSpecialTokens?: boolean;
}

export const encodeFields: readonly (keyof EncodeOptions)[] = ["addSpecialTokens"];
export const decodeFields: readonly (keyof DecodeOptions)[] = ["skipSpecialTokens"];

/** Text to token ids and back. */
export interface Tokenizer {
  /** The highest id plus one: the rows that an embedding needs. */
  readonly size: number;
  /** The ids of the special tokens that have a role. */
  readonly specialIds: { readonly [R in SpecialRole]?: number };
  /** Where the special tokens go around one text and around a pair. */
  readonly layout: { readonly single: readonly LayoutItem[]; readonly pair: readonly LayoutItem[] };
  encode(text: string, options?: EncodeOptions): number[];
  /** @throws HeddleError invalid-argument: an id that the vocabulary lacks. */
  decode(ids: readonly number[], options?: DecodeOptions): string;
  tokenToId(token: string): number | undefined;
  idToToken(id: number): string | undefined;
  /** True for a special token, which `skipSpecialTokens` leaves out. */
  isSpecial(id: number): boolean;
  /**
   * The bytes that a token stands for, where tokens are bytes of UTF-8; undefined where the text of a token depends on
   * its neighbours. For a token that is text of its own (an added token) its UTF-8 and `whole: true`.
   */
  tokenBytes(id: number): { readonly bytes: Uint8Array; readonly whole: boolean } | undefined;
  /** The files that hold this tokenizer in a Hugging Face directory: name to text. */
  toJSON(): Record<string, string>;
}

/** A text without special tokens around it. */
export const plainLayout: Tokenizer["layout"] = {
  single: [{ text: "first", tokenType: 0 }],
  pair: [
    { text: "first", tokenType: 0 },
    { text: "second", tokenType: 1 },
  ],
};
