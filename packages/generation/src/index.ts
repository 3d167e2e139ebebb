export { generate } from "./generate.ts";
export type { EndReason, GenerateOptions } from "./generate.ts";
export { generateTokens } from "./generate-tokens.ts";
export type { TokenStep } from "./generate-tokens.ts";
export {
  applyTemperature,
  greedyToken,
  keepTopK,
  keepTopP,
  penalizeRepetition,
  processLogits,
  sampleToken,
  softmax,
} from "./sampling.ts";
export type { SamplingOptions } from "./sampling.ts";
export type { GenerateTokensOptions, GenerationOptions } from "./token-options.ts";
