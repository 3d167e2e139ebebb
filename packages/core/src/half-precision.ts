/** 16-bit floating point numbers as float32. */

/** Widens IEEE half precision bits to float32: exact, NaN payloads kept. */
export function widenF16(bits: Uint16Array): Float32Array<ArrayBuffer> {
  const out = new Float32Array(bits.length);
  const words = new Uint32Array(out.buffer);
  for (let index = 0; index < bits.length; index++) {
    const half = bits[index]!;
    const exponent = (half >> 10) & 0x1f;
    const fraction = half & 0x3ff;
    const sign = (half & 0x8000) << 16;
    if (exponent === 0) {
      out[index] = fraction * 2 ** -24;
      words[index]! |= sign;
    } else words[index] = sign | ((exponent === 31 ? 0xff : exponent + 112) << 23) | (fraction << 13);
  }
  return out;
}

/** Widens bfloat16 bits to float32: exact. */
export function widenBF16(bits: Uint16Array): Float32Array<ArrayBuffer> {
  const words = new Uint32Array(bits.length);
  for (let index = 0; index < bits.length; index++) words[index] = bits[index]! << 16;
  return new Float32Array(words.buffer);
}

/**
 * Matrices of the same number of rows side by side, row by row, two numbers a word: the first in its lower half, and 0
 * behind an odd last one.
 */
export function pairs(matrices: readonly Uint16Array[], rows: number): Int32Array {
  const size = matrices.reduce((sum, { length }) => sum + length, 0);
  const words = new Int32Array(Math.ceil(size / 2));
  // Numbers in memory begin with their lower half on every machine that runs WebAssembly or WebGPU.
  const halves = new Uint16Array(words.buffer);
  let at = 0;
  for (let row = 0; row < rows; row++)
    for (const matrix of matrices) {
      const width = matrix.length / rows;
      halves.set(matrix.subarray(row * width, (row + 1) * width), at);
      at += width;
    }
  return words;
}
