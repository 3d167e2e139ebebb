/**
 * From logits to a token: pure functions over the logits of one row, in the order and with the edge rules of
 * transformers' `generate`. An excluded token has the logit -Infinity.
 */
import { checkFields, checkInteger, checkNumber, reject } from "@heddle/core";

/** How the next token is chosen. */
export interface SamplingOptions {
  /**
   * Divides the logits; 0 takes the best token (greedy).
   * @default 1 with topK or topP, otherwise 0
   */
  readonly temperature?: number;
  /** Only the best so many tokens, and those that tie with the last of them. @default all */
  readonly topK?: number;
  /** Only the best tokens that together have this probability, in (0, 1]; at least one. @default 1 */
  readonly topP?: number;
  /** Makes tokens less likely that the prompt or the new text has already; above 0, and 1 changes nothing. @default 1 */
  readonly repetitionPenalty?: number;
}

export const samplingFields: readonly (keyof SamplingOptions)[] = [
  "temperature",
  "topK",
  "topP",
  "repetitionPenalty",
];

/** @throws HeddleError `invalid-argument` that names the option, after `where`. */
export function checkSampling(where: string, options: SamplingOptions): void {
  checkFields(`${where}: sampling options`, options, samplingFields);
  const { temperature = 0, topK = 1, topP = 1, repetitionPenalty = 1 } = options;
  checkNumber(`${where}: temperature`, temperature, { min: 0 });
  checkInteger(`${where}: topK`, topK, { min: 1 });
  checkNumber(`${where}: topP`, topP);
  if (!(topP > 0 && topP <= 1)) reject(`${where}: topP`, "be above 0 and at most 1", topP);
  checkNumber(`${where}: repetitionPenalty`, repetitionPenalty);
  if (!(repetitionPenalty > 0)) reject(`${where}: repetitionPenalty`, "be above 0", repetitionPenalty);
}

/** The greatest float32. */
const greatestFloat = (2 - 2 ** -23) * 2 ** 127;

/**
 * Divides the positive logits of the tokens seen and multiplies the others, once for each:
 * https://arxiv.org/abs/1909.05858 §4.1. Where a penalty far from 1 would overflow, the logit is the greatest or the
 * least float32, so that the token stays the likeliest or the least likely and none becomes excluded or NaN.
 */
export function penalizeRepetition(
  logits: Float32Array,
  seen: Iterable<number>,
  penalty: number,
): Float32Array {
  const result = logits.slice();
  for (const id of seen) {
    const logit = logits[id];
    if (logit === undefined || !Number.isFinite(logit)) continue;
    const penalized = logit < 0 ? logit * penalty : logit / penalty;
    result[id] = Math.max(-greatestFloat, Math.min(greatestFloat, penalized));
  }
  return result;
}

function greatest(logits: Float32Array): number {
  return logits.reduce((a, b) => Math.max(a, b), -Infinity);
}

/** Logits over a temperature above 0, less the greatest of them, so that a temperature near 0 does not overflow. */
export function applyTemperature(logits: Float32Array, temperature: number): Float32Array {
  const top = greatest(logits);
  return logits.map((logit) => (logit - top) / temperature);
}

/** Excludes all but the `k` greatest logits and what ties with the last of them. */
export function keepTopK(logits: Float32Array, k: number): Float32Array {
  if (k >= logits.length) return logits.slice();
  const least = logits.toSorted()[logits.length - k]!;
  return logits.map((logit) => (logit < least ? -Infinity : logit));
}

/** Excludes the tail whose probabilities sum to at most 1 - p; the best token stays. https://arxiv.org/abs/1904.09751 §3.1 */
export function keepTopP(logits: Float32Array, p: number): Float32Array {
  const result = logits.slice();
  if (p >= 1) return result;
  const ascending = Uint32Array.from(logits.keys()).toSorted((a, b) => logits[a]! - logits[b]!);
  const chances = softmax(logits);
  let sum = 0;
  for (const id of ascending.subarray(0, -1)) {
    sum += chances[id]!;
    if (sum > 1 - p) break;
    result[id] = -Infinity;
  }
  return result;
}

/** Probabilities of the tokens, in double precision. */
export function softmax(logits: Float32Array): Float64Array {
  const top = greatest(logits);
  const chances = Float64Array.from(logits, (logit) => Math.exp(logit - top));
  const sum = chances.reduce((a, b) => a + b, 0);
  return chances.map((chance) => chance / sum);
}

/** Repetition penalty, temperature, top-k, top-p, in this order; a temperature of 0 leaves the last three out. */
export function processLogits(
  logits: Float32Array,
  seen: Iterable<number>,
  options: SamplingOptions,
): Float32Array {
  checkSampling("processLogits", options);
  const { topK, topP = 1, repetitionPenalty = 1 } = options;
  const temperature = temperatureOf(options);
  let result = repetitionPenalty === 1 ? logits : penalizeRepetition(logits, seen, repetitionPenalty);
  if (temperature === 0) return result;
  if (temperature !== 1) result = applyTemperature(result, temperature);
  if (topK !== undefined) result = keepTopK(result, topK);
  return topP < 1 ? keepTopP(result, topP) : result;
}

/** The temperature meant: topK or topP alone ask for sampling. */
export function temperatureOf({ temperature, topK, topP }: SamplingOptions): number {
  return temperature ?? (topK === undefined && topP === undefined ? 0 : 1);
}

/** The token with the greatest logit, the first of those that tie. */
export function greedyToken(logits: Float32Array): number {
  let best = 0;
  for (let id = 1; id < logits.length; id++) if (logits[id]! > logits[best]!) best = id;
  return best;
}

/** The token at a place in [0, 1) of the cumulative distribution. */
export function sampleToken(logits: Float32Array, uniform: number): number {
  const chances = softmax(logits);
  const target = uniform * chances.reduce((a, b) => a + b, 0);
  let sum = 0;
  let last = 0;
  for (const [id, chance] of chances.entries()) {
    if (chance === 0) continue;
    last = id;
    sum += chance;
    if (sum > target) break;
  }
  return last;
}
