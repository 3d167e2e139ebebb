/** What Heddle uses of `@huggingface/tokenizers`, whose own types do not resolve under nodenext. */
import { Tokenizer as Implementation } from "@huggingface/tokenizers";

/** The tokens of two texts with special tokens around them. */
export interface Processed {
  readonly tokens: readonly string[];
  readonly token_type_ids?: readonly number[];
  /** The second text, where the post-processor does not join it. */
  readonly tokens_pair?: readonly string[] | null;
}

/** The part of its `Tokenizer` that is called here. */
export interface HuggingFaceTokenizer {
  readonly post_processor:
    ((first: string[], second: string[] | null, addSpecialTokens: boolean) => Processed) | null;
  encode(
    text: string,
    options: { add_special_tokens: boolean },
  ): { ids: (number | undefined)[]; tokens: string[] };
  decode(
    ids: number[],
    options: { skip_special_tokens: boolean; clean_up_tokenization_spaces: boolean },
  ): string;
  token_to_id(token: string): number | undefined;
  id_to_token(id: number): string | undefined;
}

/** A tokenizer from the contents of tokenizer.json and tokenizer_config.json, which must have been checked before. */
export function buildHuggingFace(json: object, config: object): HuggingFaceTokenizer {
  return new Implementation(json, config) as HuggingFaceTokenizer;
}
