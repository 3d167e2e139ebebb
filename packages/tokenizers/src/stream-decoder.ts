import { checkFields } from "@heddle/core";
import type { Tokenizer } from "./tokenizer.ts";

/** Decodes ids one by one. What `push` and `flush` return, joined, is what `decode` gives for all ids at once. */
export interface StreamDecoder {
  /** The text that is certain after this id: a character whose bytes are not all there is held back. */
  push(id: number): string;
  /** The rest: bytes that never became a character are U+FFFD, as in `decode`. Afterwards it begins anew. */
  flush(): string;
}

export interface StreamDecoderOptions {
  /** Leaves special tokens out. @default true */
  readonly skipSpecialTokens?: boolean;
}

/** Tokens that are bytes: the platform's streaming decoder holds back what is incomplete. */
function byteStream(tokenizer: Tokenizer): StreamDecoder {
  let decoder = new TextDecoder("utf-8", { ignoreBOM: true });
  function flush(): string {
    const rest = decoder.decode();
    decoder = new TextDecoder("utf-8", { ignoreBOM: true });
    return rest;
  }
  return {
    push(id) {
      const { bytes, whole } = tokenizer.tokenBytes(id)!;
      if (!whole) return decoder.decode(bytes, { stream: true });
      return flush() + new TextDecoder("utf-8", { ignoreBOM: true }).decode(bytes);
    },
    flush,
  };
}

/** A character of UTF-8 has at most this many bytes, so no more tokens can wait for its end. */
const longestCharacter = 4;

/** The byte of a byte-fallback token such as `<0xE2>`. */
function fallbackByte(token: string | undefined): number | undefined {
  const digits = /^<0x([0-9A-F]{2})>$/.exec(token ?? "")?.[1];
  return digits === undefined ? undefined : Number.parseInt(digits, 16);
}

function endsInsideCharacter(bytes: readonly number[]): boolean {
  const all = Uint8Array.from(bytes);
  return new TextDecoder().decode(all) !== new TextDecoder().decode(all, { stream: true });
}

/**
 * Tokens whose text depends on their neighbours (spaces of WordPiece and SentencePiece, byte fallback): decodes a window
 * that begins with the tokens of the last piece, and gives what it adds to them.
 */
function windowStream(tokenizer: Tokenizer): StreamDecoder {
  let window: number[] = [];
  /** How many ids of the window are given out already. */
  let given = 0;
  /** The byte-fallback tokens at the end of the window. */
  let bytes: number[] = [];

  function take(): string {
    const before = tokenizer.decode(window.slice(0, given));
    const text = tokenizer.decode(window);
    window = window.slice(given);
    given = window.length;
    return text.slice(before.length);
  }
  return {
    push(id) {
      window.push(id);
      const byte = fallbackByte(tokenizer.idToToken(id));
      bytes = byte === undefined ? [] : [...bytes.slice(-longestCharacter), byte];
      if (byte !== undefined) return endsInsideCharacter(bytes) ? "" : take();
      const waiting = window.length - given;
      return waiting < longestCharacter && tokenizer.decode(window).endsWith("\ufffd") ? "" : take();
    },
    flush() {
      const rest = window.length > given ? take() : "";
      window = [];
      given = 0;
      bytes = [];
      return rest;
    },
  };
}

/** Decodes a stream of ids into text that is always valid: nothing is taken back, no character is split. */
export function createStreamDecoder(tokenizer: Tokenizer, options: StreamDecoderOptions = {}): StreamDecoder {
  checkFields("createStreamDecoder: options", options, ["skipSpecialTokens"]);
  const { skipSpecialTokens = true } = options;
  const stream = tokenizer.tokenBytes(0) ? byteStream(tokenizer) : windowStream(tokenizer);
  return {
    push: (id) => (skipSpecialTokens && tokenizer.isSpecial(id) ? "" : stream.push(id)),
    flush: () => stream.flush(),
  };
}
