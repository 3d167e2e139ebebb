import { checkFields, reject } from "@heddle/core";
import type { Model } from "@heddle/models";
import { createStreamDecoder } from "@heddle/tokenizers";
import type { Tokenizer } from "@heddle/tokenizers";
import { generateTokens } from "./generate-tokens.ts";
import type { TokenStep } from "./generate-tokens.ts";
import { checkStop, createStopFilter } from "./stop-filter.ts";
import { checkModel, generationFields } from "./token-options.ts";
import type { GenerationOptions } from "./token-options.ts";

/** What `generate` takes. */
export interface GenerateOptions extends GenerationOptions {
  /** The text to go on from; the tokenizer adds the special tokens that the model expects. */
  readonly prompt: string;
  readonly tokenizer: Tokenizer;
  /** Texts that end the new text; neither they nor what follows are given out. @default [] */
  readonly stop?: readonly string[];
  /** Tokens that end the text. @default the tokenizer's end of sequence, where it has one */
  readonly endIds?: readonly number[];
}

const optionFields: readonly (keyof GenerateOptions)[] = ["prompt", "tokenizer", "stop", ...generationFields];

/** Why the text ended: a token of `endIds`, a text of `stop`, or `maxNewTokens`. */
export type EndReason = "end" | "stop" | "length";

async function* pieces(
  steps: AsyncGenerator<TokenStep, void, undefined>,
  tokenizer: Tokenizer,
  stop: readonly string[],
  endIds: readonly number[],
): AsyncGenerator<string, EndReason, undefined> {
  const decoder = createStreamDecoder(tokenizer);
  const filter = createStopFilter(stop);
  let reason: EndReason = "length";
  for await (const { ids } of steps) {
    const id = ids[0]!;
    if (endIds.includes(id)) {
      reason = "end";
      break;
    }
    const { text, stopped } = filter.push(decoder.push(id));
    if (text !== "") yield text;
    if (stopped) return "stop";
  }
  const { text, stopped } = filter.push(decoder.flush());
  const rest = stopped ? text : text + filter.flush();
  if (rest !== "") yield rest;
  return stopped ? "stop" : reason;
}

/**
 * Goes on from a prompt: pieces of text as they become certain, none of which splits a character. Joined, they are what
 * the tokenizer decodes, without special tokens, up to a stop text. Greedy unless `temperature`, `topK` or `topP` ask for
 * sampling. Ids that the tokenizer lacks are never chosen. What the generator returns at the end says why it ended.
 *
 * @example
 * for await (const piece of generate(model, { prompt: "Call me", tokenizer, maxNewTokens: 50 })) write(piece);
 *
 * @throws HeddleError As `generateTokens` does; at the call, too, for a tokenizer with more ids than the model's
 * vocabulary.
 */
export function generate(
  model: Model,
  options: GenerateOptions,
): AsyncGenerator<string, EndReason, undefined> {
  checkModel(model);
  checkFields("generate: options", options, optionFields);
  const { prompt, tokenizer, stop = [], ...rest } = options;
  if (typeof prompt !== "string") reject("generate: prompt", "be a text", prompt);
  if (typeof tokenizer?.encode !== "function") reject("generate: tokenizer", "be a tokenizer", tokenizer);
  const { vocabularySize } = model.config;
  if (tokenizer.size > vocabularySize)
    reject("generate: tokenizer", `have at most the model's ${vocabularySize} ids`, tokenizer.size);
  checkStop("generate: stop", stop);
  const ids = tokenizer.encode(prompt);
  if (ids.length === 0) reject("generate: prompt", "have at least one token", prompt);
  const { eos } = tokenizer.specialIds;
  const { endIds = eos === undefined ? [] : [eos] } = options;
  const steps = generateTokens(model, { ...rest, ids, endIds, idsBelow: tokenizer.size });
  return pieces(steps, tokenizer, stop, endIds);
}
