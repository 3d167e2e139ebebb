/** Values in the order that a peer wants them in. */

/** x of [rows, columns] turned over. */
export function transpose(x: Float32Array, rows: number, columns: number): Float32Array<ArrayBuffer> {
  const y = new Float32Array(x.length);
  for (let i = 0; i < rows; i++) for (let j = 0; j < columns; j++) y[j * rows + i] = x[i * columns + j]!;
  return y;
}

/** [a, b, c] to [b, a, c]. */
export function swapOuter(x: Float32Array, a: number, b: number, c: number): Float32Array<ArrayBuffer> {
  const y = new Float32Array(x.length);
  for (let i = 0; i < a; i++)
    for (let j = 0; j < b; j++) y.set(x.subarray((i * b + j) * c, (i * b + j + 1) * c), (j * a + i) * c);
  return y;
}
