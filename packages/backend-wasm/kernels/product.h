/* The micro-kernels of all matrix products: a tile of ROWS x (4 VECTORS) sums held in registers. */
#ifndef PRODUCT_H
#define PRODUCT_H

#include "simd.h"

/*
 * c[i][j] = start[i][j] + sum over k of a[i][k] panel[k][j], for i < ROWS, j < 4 VECTORS; k at least 1.
 *
 * Where the sums start is a pointer and a stride: a bias has stride 0, sums of an earlier part of k are c itself. So
 * the function loads, loops and stores without a branch; one branch more made it half as fast.
 */
#define PRODUCT(ROWS, VECTORS)                                                                                 \
  NOINLINE void product_##ROWS##_##VECTORS(const float *a, int a_stride, const float *panel, int panel_stride, \
                                           float *c, int c_stride, int k, const float *start,                  \
                                           int start_stride) {                                                 \
    f32x4 sum[ROWS][VECTORS];                                                                                  \
    UNROLL for (int i = 0; i < ROWS; i++) {                                                                    \
      UNROLL for (int j = 0; j < VECTORS; j++) sum[i][j] = LOAD(start + 4 * j);                                \
      start += start_stride;                                                                                   \
    }                                                                                                          \
    const float *row[ROWS];                                                                                    \
    UNROLL for (int i = 0; i < ROWS; i++) row[i] = a + i * a_stride;                                           \
    NO_UNROLL do {                                                                                             \
      f32x4 b[VECTORS];                                                                                        \
      UNROLL for (int j = 0; j < VECTORS; j++) b[j] = LOAD(panel + 4 * j);                                     \
      panel += panel_stride;                                                                                   \
      UNROLL for (int i = 0; i < ROWS; i++) {                                                                  \
        f32x4 x = LOAD_SPLAT(row[i]);                                                                          \
        row[i] += 1;                                                                                           \
        UNROLL for (int j = 0; j < VECTORS; j++) sum[i][j] = FMA(x, b[j], sum[i][j]);                          \
      }                                                                                                        \
    } while (--k);                                                                                             \
    UNROLL for (int i = 0; i < ROWS; i++) {                                                                    \
      UNROLL for (int j = 0; j < VECTORS; j++) STORE(c + 4 * j, sum[i][j]);                                    \
      c += c_stride;                                                                                           \
    }                                                                                                          \
  }

/* Rows that a tile does not fill take the tile of just so many rows. */
#define PRODUCTS(VECTORS)                                                                                      \
  PRODUCT(1, VECTORS)                                                                                          \
  PRODUCT(2, VECTORS)                                                                                          \
  PRODUCT(3, VECTORS)                                                                                          \
  PRODUCT(4, VECTORS)                                                                                          \
  PRODUCT(5, VECTORS)                                                                                          \
  PRODUCT(6, VECTORS)                                                                                          \
  /* `rows` rows in tiles of at most `most`. */                                                                \
  static void products_##VECTORS(int rows, int most, const float *a, int a_stride, const float *panel,         \
                                 int panel_stride, float *c, int c_stride, int k, const float *start,          \
                                 int start_stride) {                                                           \
    while (rows > 0) {                                                                                         \
      int n = least(rows, most);                                                                               \
      switch (n) {                                                                                             \
        case 6: product_6_##VECTORS(a, a_stride, panel, panel_stride, c, c_stride, k, start, start_stride); break; \
        case 5: product_5_##VECTORS(a, a_stride, panel, panel_stride, c, c_stride, k, start, start_stride); break; \
        case 4: product_4_##VECTORS(a, a_stride, panel, panel_stride, c, c_stride, k, start, start_stride); break; \
        case 3: product_3_##VECTORS(a, a_stride, panel, panel_stride, c, c_stride, k, start, start_stride); break; \
        case 2: product_2_##VECTORS(a, a_stride, panel, panel_stride, c, c_stride, k, start, start_stride); break; \
        default: product_1_##VECTORS(a, a_stride, panel, panel_stride, c, c_stride, k, start, start_stride);   \
      }                                                                                                        \
      rows -= n;                                                                                               \
      a += n * a_stride;                                                                                       \
      c += n * c_stride;                                                                                       \
      start += n * start_stride;                                                                               \
    }                                                                                                          \
  }

PRODUCTS(2)
PRODUCTS(4)

/* A tile's shape, chosen by measurement at start: columns 8 or 16, rows 4 or 6. */
INLINE void products(int columns, int rows, int most, const float *a, int a_stride, const float *panel,
                     int panel_stride, float *c, int c_stride, int k, const float *start, int start_stride) {
  if (columns == 16)
    products_4(rows, most, a, a_stride, panel, panel_stride, c, c_stride, k, start, start_stride);
  else
    products_2(rows, most, a, a_stride, panel, panel_stride, c, c_stride, k, start, start_stride);
}

#endif
