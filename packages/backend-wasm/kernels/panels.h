/* The second factor of a product in panels: [out / columns, in, columns], so that a tile reads it in one stream. */
#ifndef PANELS_H
#define PANELS_H

#include "simd.h"

/* Four rows of four floats, turned. */
INLINE void turn4(f32x4 r0, f32x4 r1, f32x4 r2, f32x4 r3, f32x4 *c0, f32x4 *c1, f32x4 *c2, f32x4 *c3) {
  f32x4 low01 = wasm_i32x4_shuffle(r0, r1, 0, 4, 1, 5), high01 = wasm_i32x4_shuffle(r0, r1, 2, 6, 3, 7);
  f32x4 low23 = wasm_i32x4_shuffle(r2, r3, 0, 4, 1, 5), high23 = wasm_i32x4_shuffle(r2, r3, 2, 6, 3, 7);
  *c0 = wasm_i64x2_shuffle(low01, low23, 0, 2);
  *c1 = wasm_i64x2_shuffle(low01, low23, 1, 3);
  *c2 = wasm_i64x2_shuffle(high01, high23, 0, 2);
  *c3 = wasm_i64x2_shuffle(high01, high23, 1, 3);
}

/* One panel of a matrix whose rows are the values of k: w[k * stride + j], j < inside. Zeros behind the last. */
static void pack_rows(const float *w, int stride, int in, int inside, int columns, float *panel) {
  for (int k = 0; k < in; k++, w += stride, panel += columns) {
    int j = 0;
    for (; j + 4 <= inside; j += 4) STORE(panel + j, LOAD(w + j));
    if (j < inside) STORE(panel + j, load_first(w + j, inside - j)), j += 4;
    for (; j < columns; j += 4) STORE(panel + j, CONST(0.0f));
  }
}

/* One panel of a matrix whose columns are the values of k: w[j * stride + k], j < inside. */
static void pack_columns(const float *w, int stride, int in, int inside, int columns, float *panel) {
  for (int j = 0; j < columns; j += 4) {
    int rows = least(greatest(inside - j, 0), 4), k = 0;
    const float *from = w + (long)j * stride;
    if (rows == 4)
      for (; k + 4 <= in; k += 4) {
        f32x4 c0, c1, c2, c3;
        turn4(LOAD(from + k), LOAD(from + stride + k), LOAD(from + 2 * (long)stride + k), LOAD(from + 3 * (long)stride + k),
              &c0, &c1, &c2, &c3);
        float *to = panel + (long)k * columns + j;
        STORE(to, c0);
        STORE(to + columns, c1);
        STORE(to + 2 * columns, c2);
        STORE(to + 3 * columns, c3);
      }
    for (; k < in; k++)
      for (int i = 0; i < 4; i++)
        panel[(long)k * columns + j + i] = i < rows ? from[(long)i * stride + k] : 0.0f;
  }
}

/* Panel `number` of a weight [in, out], or [out, in] when `turned`. */
INLINE void pack_panel(const float *w, int in, int out, int turned, int columns, int number, float *panel) {
  int first = number * columns, inside = least(columns, out - first);
  if (turned)
    pack_columns(w + (long)first * in, in, in, inside, columns, panel);
  else
    pack_rows(w + first, out, in, inside, columns, panel);
}

/* Back from a panel to the weight that it was packed from. */
INLINE void unpack_panel(const float *panel, int in, int out, int turned, int columns, int number, float *w) {
  int first = number * columns, inside = least(columns, out - first);
  for (int k = 0; k < in; k++)
    for (int j = 0; j < inside; j++)
      w[turned ? (long)(first + j) * in + k : (long)k * out + first + j] = panel[(long)k * columns + j];
}

#endif
