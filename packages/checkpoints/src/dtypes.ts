import { HeddleError } from "@heddle/core";

/** What the values of each dtype are in memory: F16 and BF16 keep their bits. Little-endian, as in the file. */
export interface StoredValues {
  F32: Float32Array<ArrayBuffer>;
  F16: Uint16Array<ArrayBuffer>;
  BF16: Uint16Array<ArrayBuffer>;
  I64: BigInt64Array<ArrayBuffer>;
  I32: Int32Array<ArrayBuffer>;
  U8: Uint8Array<ArrayBuffer>;
  /** 0 or 1. */
  BOOL: Uint8Array<ArrayBuffer>;
}

/** A dtype of safetensors that Heddle reads and writes. */
export type Dtype = keyof StoredValues;

/** Bytes an element. */
export const dtypeBytes: Readonly<Record<Dtype, number>> = {
  F32: 4,
  F16: 2,
  BF16: 2,
  I64: 8,
  I32: 4,
  U8: 1,
  BOOL: 1,
};

export const dtypeNames: readonly Dtype[] = Object.keys(dtypeBytes) as Dtype[];

/** The view of bytes as each dtype's values; the bytes start at 0 of their buffer. */
export const viewAs: { readonly [D in Dtype]: (buffer: ArrayBuffer) => StoredValues[D] } = {
  F32: (buffer) => new Float32Array(buffer),
  F16: (buffer) => new Uint16Array(buffer),
  BF16: (buffer) => new Uint16Array(buffer),
  I64: (buffer) => new BigInt64Array(buffer),
  I32: (buffer) => new Int32Array(buffer),
  U8: (buffer) => new Uint8Array(buffer),
  BOOL: (buffer) => new Uint8Array(buffer),
};

function f16Bits(word: number): number {
  const sign = (word >>> 16) & 0x8000;
  const magnitude = word & 0x7fffffff;
  if (magnitude > 0x7f800000) return sign | 0x7e00;
  // Half of the last place above 65504: it and what is larger round to infinity.
  if (magnitude >= 0x477ff000) return sign | 0x7c00;
  const exponent = magnitude >>> 23;
  // 2^-25 and what is smaller round to zero.
  if (magnitude <= 0x33000000) return sign;
  const shift = exponent < 113 ? 126 - exponent : 13;
  const significand = exponent < 113 ? (magnitude & 0x7fffff) | 0x800000 : magnitude - (112 << 23);
  const kept = significand >>> shift;
  const rest = significand & ((1 << shift) - 1);
  const half = 1 << (shift - 1);
  // Round to nearest, ties to even; a carry moves into the exponent, as it must.
  return sign | (kept + (rest > half || (rest === half && kept & 1) ? 1 : 0));
}

function bf16Bits(word: number): number {
  if ((word & 0x7fffffff) > 0x7f800000) return (word >>> 16) | 0x40;
  return (word + 0x7fff + ((word >>> 16) & 1)) >>> 16;
}

const narrowings = {
  F16: { bits: f16Bits, infinity: 0x7c00 },
  BF16: { bits: bf16Bits, infinity: 0x7f80 },
} as const;

/**
 * Narrows float32 to half precision or bfloat16, rounding to nearest, ties to even. Infinities and NaN stay.
 *
 * @throws HeddleError not-finite: a finite value is too large for the dtype; it would become an infinity.
 */
export function narrow(where: string, dtype: "F16" | "BF16", values: Float32Array): Uint16Array<ArrayBuffer> {
  const { bits, infinity } = narrowings[dtype];
  const words = new Uint32Array(values.buffer, values.byteOffset, values.length);
  const out = new Uint16Array(values.length);
  for (let index = 0; index < out.length; index++) {
    const narrowed = bits(words[index]!);
    if ((narrowed & 0x7fff) === infinity && Number.isFinite(values[index]))
      throw new HeddleError(
        "not-finite",
        `${where} must fit ${dtype}, got ${values[index]} at index ${index}`,
      );
    out[index] = narrowed;
  }
  return out;
}
