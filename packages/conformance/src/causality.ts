/** Whether a decoder can see the future: a later token is changed, and the logits before it are compared bit by bit. */
import { and, longformer, not, or } from "@heddle/attention";
import type { Attention, AttentionPattern } from "@heddle/attention";
import { HeddleError, createWeights } from "@heddle/core";
import { gpt } from "@heddle/models";
import type { AttentionChoice, Model, ModelInputs } from "@heddle/models";
import { alibi, learned, relativeBias, rotary, sinusoidal } from "@heddle/positions";
import type { Position } from "@heddle/positions";
import { patternSamples } from "./pattern-samples.ts";

const length = 10;
const vocabularySize = 13;
const layers = 2;

/** Every kind of position, with every setting that changes how it works. */
export const positionSamples: readonly Position[] = [
  learned(),
  sinusoidal(),
  sinusoidal({ layout: "concatenated" }),
  alibi(),
  rotary(),
  rotary({ pairs: "interleaved" }),
  relativeBias({ maxDistance: 3 }),
];

/** Every mechanism; made for four heads. */
export const mechanismSamples: readonly Attention[] = [
  longformer({ window: 4 }),
  longformer({ window: 2, dilation: [1, 2, 3, 1] }),
];

const pairs = (join: typeof and): AttentionPattern[] =>
  patternSamples.flatMap((one, i) => patternSamples.slice(i + 1).map((other) => join(one, other)));

/** Every named pattern, each one negated, every pair joined by `and` and by `or`, every mechanism, and layers that differ. */
export function attentionSamples(): readonly AttentionChoice[] {
  return [
    ...patternSamples,
    ...patternSamples.map((pattern) => not(pattern)),
    ...pairs(and),
    ...pairs(or),
    ...mechanismSamples,
    [patternSamples[0]!, mechanismSamples[0]!],
  ];
}

/** A small decoder of four heads for `futureLeaks`. Dispose it. */
export function smallDecoder(position: Position): Model {
  const options = { vocabularySize, maxLength: length, width: 16, layers, heads: 4, position };
  return gpt(options, createWeights({ seed: 7 }));
}

/** What `futureLeaks` found. */
export interface FutureLeaks {
  /** Places whose logits changed with a later token; 0 in a decoder. */
  readonly leaks: number;
  /** Places compared; 0 when the attention allows no pair at all and was refused. */
  readonly compared: number;
  /** Rows in which the changed token did not change its own logits: 0, or the comparison sees nothing. */
  readonly blind: number;
}

const rows = length - 1;
const grid = (value: (row: number, token: number) => number): number[][] =>
  Array.from({ length: rows }, (_, row) => Array.from({ length }, (_, token) => value(row, token)));

const ids = (changed: boolean): number[][] =>
  grid((row, token) => (5 * token + (changed && token === row + 1 ? 3 : 0)) % vocabularySize);

/** Integers for the patterns that read any, and padding in the middle of every third row where `masked`. */
function inputs(changed: boolean, masked: boolean): ModelInputs {
  const keep = grid((row, token) => (row % 3 === 0 && token === 4 ? 0 : 1));
  return {
    ids: ids(changed),
    ...(masked && { attentionMask: keep }),
    attributes: {
      document: grid((_, token) => Math.floor(token / 4)),
      global: grid((_, token) => (token === 1 || token === 6 ? 1 : 0)),
      ...(!masked && { keep }),
    },
  };
}

async function logitBits(model: Model, changed: boolean, masked: boolean): Promise<Uint32Array> {
  const out = model.forward(inputs(changed, masked));
  const values = new Float32Array(await out.logits!.data());
  out.dispose();
  return new Uint32Array(values.buffer);
}

/**
 * Changes token t + 1 for each t, a batch row each, and counts the places up to t whose logits are not the same to the
 * last bit; with a padding mask and without.
 */
export async function futureLeaks(decoder: Model, attention: AttentionChoice): Promise<FutureLeaks> {
  const model = decoder.with({ attention });
  const found = { leaks: 0, compared: 0, blind: 0 };
  try {
    for (const masked of [false, true]) {
      const before = await logitBits(model, false, masked);
      const after = await logitBits(model, true, masked);
      const differs = (row: number, token: number): boolean => {
        const start = (row * length + token) * vocabularySize;
        return before.subarray(start, start + vocabularySize).some((bits, i) => bits !== after[start + i]);
      };
      for (let row = 0; row < rows; row++) {
        for (let token = 0; token <= row; token++) {
          found.compared++;
          if (differs(row, token)) found.leaks++;
        }
        if (!differs(row, row + 1)) found.blind++;
      }
    }
  } catch (error) {
    if (!(error instanceof HeddleError) || !error.message.includes("allow at least one pair")) throw error;
  } finally {
    model.dispose();
  }
  return found;
}
