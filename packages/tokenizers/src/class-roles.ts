import type { AddedToken, JsonObject } from "./check-tokenizer-json.ts";
import type { SpecialRole } from "./tokenizer.ts";

type Roles = { readonly [R in SpecialRole]?: string };

const roberta: Roles = {
  bos: "<s>",
  eos: "</s>",
  sep: "</s>",
  cls: "<s>",
  unk: "<unk>",
  pad: "<pad>",
  mask: "<mask>",
};

/** The defaults of transformers' tokenizer classes, which the published checkpoints of these models count on. */
const classes: Readonly<Record<string, Roles>> = {
  BertTokenizer: { unk: "[UNK]", sep: "[SEP]", pad: "[PAD]", cls: "[CLS]", mask: "[MASK]" },
  RobertaTokenizer: roberta,
  LongformerTokenizer: roberta,
  GPT2Tokenizer: { bos: "<|endoftext|>", eos: "<|endoftext|>", unk: "<|endoftext|>" },
};

/**
 * The roles of special tokens that tokenizer_config.json leaves to the tokenizer's class. Where it does not name the class
 * either, as in the checkpoints of GPT-2 and BERT, it is the one whose tokens tokenizer.json has, all of them.
 */
export function classRoles({ tokenizer_class: name }: JsonObject, added: readonly AddedToken[]): Roles {
  const special = new Set(added.flatMap((token) => (token.special ? [token.content] : [])));
  const fits = (roles: Roles): boolean => Object.values(roles).every((token) => special.has(token));
  if (name === undefined || name === null) return Object.values(classes).find(fits) ?? {};
  const known = typeof name === "string" ? name.replace(/Fast$/, "") : "";
  const roles = Object.hasOwn(classes, known) ? classes[known]! : {};
  return fits(roles) ? roles : {};
}
