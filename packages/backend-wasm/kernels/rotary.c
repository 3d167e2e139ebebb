/* Rotary position embedding: pairs of values turned by an angle of their token. */
#include "simd.h"

typedef struct {
  const float *x;      /* [rows, depth] */
  const float *angles; /* [tokens, 2, width / 2]: cosines, then sines */
  float *y;            /* [rows, depth] */
  int rows, depth, width;
  int length;      /* rows of a head */
  int head_rows;   /* rows of all heads that share their angles: of a batch row, or of all */
  int interleaved; /* pairs of neighbours, not of the halves */
  float sign;      /* -1 turns back */
} RotaryTask;

/* Rows of a unit. */
enum { ROTARY_ROWS = 32 };

/* Values i and i + half of a row. */
INLINE void turn_halves(const float *x, float *y, const float *cosines, const float *sines, int half, float sign) {
  f32x4 s = SPLAT(sign);
  int i = 0;
  for (; i + 4 <= half; i += 4) {
    f32x4 a = LOAD(x + i), b = LOAD(x + half + i), c = LOAD(cosines + i), d = MUL(LOAD(sines + i), s);
    STORE(y + i, NFMA(b, d, MUL(a, c)));
    STORE(y + half + i, FMA(a, d, MUL(b, c)));
  }
  for (; i < half; i++) {
    float a = x[i], b = x[half + i], d = sines[i] * sign;
    y[i] = a * cosines[i] - b * d;
    y[half + i] = b * cosines[i] + a * d;
  }
}

/* Values 2 i and 2 i + 1 of a row. */
INLINE void turn_neighbours(const float *x, float *y, const float *cosines, const float *sines, int half, float sign) {
  f32x4 s = SPLAT(sign);
  int i = 0;
  for (; i + 4 <= half; i += 4) {
    f32x4 low = LOAD(x + 2 * i), high = LOAD(x + 2 * i + 4), c = LOAD(cosines + i), d = MUL(LOAD(sines + i), s);
    f32x4 a = wasm_i32x4_shuffle(low, high, 0, 2, 4, 6), b = wasm_i32x4_shuffle(low, high, 1, 3, 5, 7);
    f32x4 first = NFMA(b, d, MUL(a, c)), second = FMA(a, d, MUL(b, c));
    STORE(y + 2 * i, wasm_i32x4_shuffle(first, second, 0, 4, 1, 5));
    STORE(y + 2 * i + 4, wasm_i32x4_shuffle(first, second, 2, 6, 3, 7));
  }
  for (; i < half; i++) {
    float a = x[2 * i], b = x[2 * i + 1], d = sines[i] * sign;
    y[2 * i] = a * cosines[i] - b * d;
    y[2 * i + 1] = b * cosines[i] + a * d;
  }
}

EXPORT(rotary_units) int rotary_units(const RotaryTask *t) { return (t->rows + ROTARY_ROWS - 1) / ROTARY_ROWS; }
EXPORT(rotary) void rotary(const RotaryTask *t, int begin, int end, void *own) {
  int half = t->width / 2;
  for (int row = begin * ROTARY_ROWS; row < least(end * ROTARY_ROWS, t->rows); row++) {
    int token = row / t->head_rows * t->length + row % t->length;
    const float *x = t->x + (long)row * t->depth, *cosines = t->angles + (long)token * t->width;
    float *y = t->y + (long)row * t->depth;
    if (t->interleaved)
      turn_neighbours(x, y, cosines, cosines + half, half, t->sign);
    else
      turn_halves(x, y, cosines, cosines + half, half, t->sign);
    copy_floats(y + t->width, x + t->width, t->depth - t->width);
  }
}
