import { pattern } from "../expression/pattern.ts";
import type { AttentionPattern } from "../expression/tree.ts";

/**
 * Keys that are no padding: those whose attribute "keep" is 1, as Hugging Face's attention mask has it. A padded query
 * still sees them, as in Hugging Face's models; what it gives is not meant to be read.
 */
export function padding(): AttentionPattern {
  return pattern("padding", {}, ({ key }) => key.attribute("keep").equals(1));
}
