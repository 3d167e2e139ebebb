import { expect, it } from "vitest";
import { byteTokenizer } from "./byte-tokenizer.ts";
import { encodeBatch } from "./encode-batch.ts";
import { loadTokenizer } from "./load-tokenizer.ts";
import { createStreamDecoder } from "./stream-decoder.ts";

const bytes = byteTokenizer();
const loaded = loadTokenizer(bytes.toJSON()["tokenizer.json"]!);

it.each<[string, string, () => unknown]>([
  ["byteTokenizer: options", "special", () => byteTokenizer({ special: {} } as never)],
  ["byteTokenizer: specialTokens", "end", () => byteTokenizer({ specialTokens: { end: "<e>" } } as never)],
  ["encode: options", "special", () => bytes.encode("a", { special: true } as never)],
  ["encode: options", "special", () => loaded.encode("a", { special: true } as never)],
  ["decode: options", "skip", () => bytes.decode([97], { skip: true } as never)],
  ["decode: options", "skip", () => loaded.decode([97], { skip: true } as never)],
  ["createStreamDecoder: options", "skip", () => createStreamDecoder(bytes, { skip: true } as never)],
  ["encodeBatch: options", "maxlength", () => encodeBatch(bytes, ["a"], { maxlength: 3 } as never)],
])("%s refuses %s and names the options there are", (where, field, call) => {
  expect(call).toThrow(new RegExp(`^${where} must have only the fields .+, got "${field}"$`));
});

it("refuses options that are null", () => {
  expect(() => encodeBatch(bytes, ["a"], null as never)).toThrow(
    "encodeBatch: options must be an object of padding",
  );
  expect(() => bytes.decode([97], null as never)).toThrow(
    "decode: options must be an object of skipSpecialTokens",
  );
});
