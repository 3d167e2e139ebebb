export { byteTokenizer, type ByteTokenizerOptions } from "./byte-tokenizer.ts";
export { encodeBatch, type EncodeBatchOptions, type EncodedBatch } from "./encode-batch.ts";
export { loadTokenizer } from "./load-tokenizer.ts";
export { createStreamDecoder, type StreamDecoder, type StreamDecoderOptions } from "./stream-decoder.ts";
export {
  type DecodeOptions,
  type EncodeOptions,
  type LayoutItem,
  type SpecialRole,
  type Tokenizer,
} from "./tokenizer.ts";
export { type Truncation } from "./truncate.ts";
