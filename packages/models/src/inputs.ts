/** From what a caller gives to what a network takes: nested arrays or tensors, checked before any tensor is made. */
import * as tf from "@tensorflow/tfjs-core";
import type { Tensor } from "@tensorflow/tfjs-core";
import type { TokenAttributes } from "@heddle/attention";
import { HeddleError, checkFields, reject } from "@heddle/core";

/** Integers for each token: one row, a list of rows of equal length, or a tensor [B, L]. */
export type TokenIntegers = readonly number[] | readonly (readonly number[])[] | Tensor;

/** What a model reads. Shapes: B batch, L length. */
export interface ModelInputs {
  /** Token ids, each in [0, vocabularySize). */
  readonly ids: TokenIntegers;
  /** 1 keeps a token and 0 marks padding, as in Hugging Face. With a cache padding must be on the right. @default all 1 */
  readonly attentionMask?: TokenIntegers;
  /** Segment of each token, for models that have them. @default all 0 */
  readonly tokenTypes?: TokenIntegers;
  /** Position of each token. @default 0, 1, 2 ... after the tokens in the cache; Longformer counts its own way */
  readonly positionIds?: TokenIntegers;
  /** 1 for tokens with global attention (Longformer); short for `attributes: { global }`. */
  readonly globalAttentionMask?: TokenIntegers;
  /** Further integers of each token that a pattern reads: `{ document: [[0, 0, 1]] }`. */
  readonly attributes?: Readonly<Record<string, TokenIntegers>>;
}

const inputFields = [
  "ids",
  "attentionMask",
  "tokenTypes",
  "positionIds",
  "globalAttentionMask",
  "attributes",
] as const satisfies readonly (keyof ModelInputs)[];

/** Inputs as flat integers, [B L] each. */
export interface PreparedInputs {
  readonly batch: number;
  readonly length: number;
  readonly ids: Int32Array;
  readonly tokenTypes: Int32Array;
  /** Absent when all tokens are kept. */
  readonly keep?: Int32Array;
  readonly positionIds?: Int32Array;
  readonly attributes: TokenAttributes;
}

interface Grid {
  readonly batch: number;
  readonly length: number;
  readonly values: Int32Array;
}

function fromTensor(where: string, tensor: Tensor): readonly (readonly number[])[] {
  const shape = tensor.shape.length === 1 ? [1, tensor.shape[0]!] : tensor.shape;
  if (shape.length !== 2) reject(where, "have shape [batch, length]", tensor.shape);
  let flat: number[];
  try {
    flat = [...tensor.dataSync()];
  } catch (cause) {
    // Ids are checked before they are used, and this device gives values only later.
    throw new HeddleError(
      "unsupported",
      `${where} must be nested arrays on ${tf.getBackend()}, which cannot be read at once, got a tensor`,
      { cause },
    );
  }
  return Array.from({ length: shape[0]! }, (_, row) => flat.slice(row * shape[1]!, (row + 1) * shape[1]!));
}

function grid(where: string, given: TokenIntegers): Grid {
  let rows: readonly (readonly number[])[];
  if (given instanceof tf.Tensor) rows = fromTensor(where, given);
  else if (!Array.isArray(given))
    reject(where, "be an array of integers, a list of such arrays, or a tensor", given);
  else rows = (Array.isArray(given[0]) ? given : [given]) as readonly (readonly number[])[];
  const length = rows[0]?.length ?? 0;
  if (length === 0) reject(where, "hold at least one token", given);
  const values = new Int32Array(rows.length * length);
  rows.forEach((row, b) => {
    if (!Array.isArray(row) || row.length !== length)
      reject(
        `${where}[${b}]`,
        `have ${length} tokens, as the first row (pad the shorter rows and give an attentionMask)`,
        row?.length,
      );
    row.forEach((value, t) => {
      if (!Number.isInteger(value) || Math.abs(value) >= 2 ** 31)
        reject(`${where}[${b}][${t}]`, "be an integer", value);
      values[b * length + t] = value;
    });
  });
  return { batch: rows.length, length, values };
}

function checkRange(
  { values, length }: Grid,
  where: string,
  bounds: readonly [number, number],
  what: string,
): void {
  const wrong = values.findIndex((value) => value < bounds[0] || value > bounds[1]);
  if (wrong >= 0)
    reject(`${where}[${Math.floor(wrong / length)}][${wrong % length}]`, `be ${what}`, values[wrong]);
}

/** What the inputs are checked against. */
export interface InputLimits {
  /** The model's name, for errors. */
  readonly model: string;
  readonly vocabularySize: number;
  /** Number of token types; 1 when the model has none. */
  readonly tokenTypes: number;
}

/**
 * Checks and flattens the inputs.
 * @throws HeddleError that names the place: ids out of the vocabulary, rows of unequal length, a mask of another shape.
 */
export function prepareInputs(inputs: ModelInputs, limits: InputLimits): PreparedInputs {
  const { model, vocabularySize } = limits;
  checkFields(`${model}: inputs`, inputs ?? {}, inputFields);
  const ids = grid(`${model}: ids`, inputs?.ids);
  const { batch, length } = ids;
  checkRange(
    ids,
    `${model}: ids`,
    [0, vocabularySize - 1],
    `from 0 to ${vocabularySize - 1}, the vocabulary's last id`,
  );

  const beside = (name: string, given: TokenIntegers): Grid => {
    const found = grid(`${model}: ${name}`, given);
    if (found.batch !== batch || found.length !== length)
      reject(`${model}: ${name}`, `have shape [${batch}, ${length}], as the ids`, [
        found.batch,
        found.length,
      ]);
    return found;
  };
  const flags = (name: string, given: TokenIntegers): Int32Array => {
    const found = beside(name, given);
    checkRange(found, `${model}: ${name}`, [0, 1], "0 or 1");
    return found.values;
  };
  const mask = inputs.attentionMask === undefined ? undefined : flags("attentionMask", inputs.attentionMask);
  const keep = mask?.includes(0) ? mask : undefined;
  let tokenTypes = new Int32Array(batch * length);
  if (inputs.tokenTypes !== undefined) {
    const types = beside("tokenTypes", inputs.tokenTypes);
    checkRange(
      types,
      `${model}: tokenTypes`,
      [0, limits.tokenTypes - 1],
      `from 0 to ${limits.tokenTypes - 1}`,
    );
    tokenTypes = Int32Array.from(types.values);
  }
  const positions = inputs.positionIds === undefined ? undefined : beside("positionIds", inputs.positionIds);
  if (positions) checkRange(positions, `${model}: positionIds`, [0, 2 ** 24], "0 or more");

  const attributes: Record<string, Int32Array> = {};
  const { attributes: given = {} } = inputs;
  if (typeof given !== "object" || given === null || Array.isArray(given))
    reject(`${model}: attributes`, "be an object of integers of each token", given);
  for (const [name, values] of Object.entries(given))
    attributes[name] = beside(`attributes.${name}`, values).values;
  if (inputs.globalAttentionMask !== undefined)
    attributes.global = flags("globalAttentionMask", inputs.globalAttentionMask);
  if (keep) attributes.keep = keep;
  return {
    batch,
    length,
    ids: ids.values,
    tokenTypes,
    ...(keep && { keep }),
    ...(positions && { positionIds: positions.values }),
    attributes: { batch, query: attributes, key: attributes },
  };
}
