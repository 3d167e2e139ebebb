/* layerNorm and rmsNorm over rows. */
#include "simd.h"

typedef struct {
  const float *x;      /* [rows, width] */
  const float *weight; /* [width] */
  const float *bias;   /* [width]; rmsNorm has none */
  float *y;            /* [rows, width] */
  int rows, width;
  float epsilon;
} NormTask;

/* Rows of a unit. */
enum { NORM_ROWS = 16 };

/* The sum over a row of (x - centre)^power, in 8 lanes. */
INLINE float row_sum(const float *x, int width, float centre, int power) {
  f32x4 a = CONST(0.0f), b = CONST(0.0f), c = SPLAT(centre);
  int i = 0;
  for (; i + 8 <= width; i += 8) {
    f32x4 u = SUB(LOAD(x + i), c), v = SUB(LOAD(x + i + 4), c);
    a = power == 1 ? ADD(a, u) : FMA(u, u, a);
    b = power == 1 ? ADD(b, v) : FMA(v, v, b);
  }
  float sum = sum_of(ADD(a, b));
  for (; i < width; i++) sum += power == 1 ? x[i] - centre : (x[i] - centre) * (x[i] - centre);
  return sum;
}

/* y = (x - centre) scale weight + bias. */
INLINE void scale_row(const NormTask *t, const float *x, float *y, float centre, float scale) {
  f32x4 c = SPLAT(centre), s = SPLAT(scale);
  int i = 0;
  for (; i + 4 <= t->width; i += 4) {
    f32x4 normal = MUL(SUB(LOAD(x + i), c), s), w = LOAD(t->weight + i);
    STORE(y + i, t->bias ? FMA(normal, w, LOAD(t->bias + i)) : MUL(normal, w));
  }
  for (; i < t->width; i++) y[i] = (x[i] - centre) * scale * t->weight[i] + (t->bias ? t->bias[i] : 0.0f);
}

EXPORT(layer_norm_units) int layer_norm_units(const NormTask *t) { return (t->rows + NORM_ROWS - 1) / NORM_ROWS; }
EXPORT(layer_norm) void layer_norm(const NormTask *t, int begin, int end, void *own) {
  for (int row = begin * NORM_ROWS; row < least(end * NORM_ROWS, t->rows); row++) {
    const float *x = t->x + (long)row * t->width;
    /* Two passes: the square of the mean taken from the mean of squares loses digits where the mean is large. */
    float mean = row_sum(x, t->width, 0.0f, 1) / t->width;
    float variance = row_sum(x, t->width, mean, 2) / t->width;
    scale_row(t, x, t->y + (long)row * t->width, mean, 1.0f / __builtin_sqrtf(variance + t->epsilon));
  }
}

EXPORT(rms_norm_units) int rms_norm_units(const NormTask *t) { return layer_norm_units(t); }
EXPORT(rms_norm) void rms_norm(const NormTask *t, int begin, int end, void *own) {
  for (int row = begin * NORM_ROWS; row < least(end * NORM_ROWS, t->rows); row++) {
    const float *x = t->x + (long)row * t->width;
    float square = row_sum(x, t->width, 0.0f, 2) / t->width;
    scale_row(t, x, t->y + (long)row * t->width, 0.0f, 1.0f / __builtin_sqrtf(square + t->epsilon));
  }
}
