/* layerNorm and rmsNorm over rows, forward and backward. */
#include "simd.h"

typedef struct {
  const float *x;        /* [rows, width] */
  const float *residual; /* [rows, width], added to x; or 0 */
  const float *weight;   /* [width] */
  const float *bias;     /* [width]; rmsNorm has none */
  float *sum;            /* [rows, width]: x + residual, which may be y; 0 without a residual */
  float *y;              /* [rows, width] */
  float *statistics;   /* [rows, 2]: what each row was centred at and scaled by; or 0 */
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

/* The row that is normalised. */
INLINE const float *given_row(const NormTask *t, int row) {
  long at = (long)row * t->width;
  if (!t->residual) return t->x + at;
  sum_floats(t->sum + at, t->x + at, t->residual + at, t->width);
  return t->sum + at;
}

/* y = (x - centre) scale weight + bias, of one row. */
INLINE void scale_row(const NormTask *t, int row, const float *x, float centre, float scale) {
  float *y = t->y + (long)row * t->width;
  if (t->statistics) {
    t->statistics[2 * row] = centre;
    t->statistics[2 * row + 1] = scale;
  }
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
    const float *x = given_row(t, row);
    /* Two passes: the square of the mean taken from the mean of squares loses digits where the mean is large. */
    float mean = row_sum(x, t->width, 0.0f, 1) / t->width;
    float variance = row_sum(x, t->width, mean, 2) / t->width;
    scale_row(t, row, x, mean, 1.0f / __builtin_sqrtf(variance + t->epsilon));
  }
}

EXPORT(rms_norm_units) int rms_norm_units(const NormTask *t) { return layer_norm_units(t); }
EXPORT(rms_norm) void rms_norm(const NormTask *t, int begin, int end, void *own) {
  for (int row = begin * NORM_ROWS; row < least(end * NORM_ROWS, t->rows); row++) {
    const float *x = given_row(t, row);
    float square = row_sum(x, t->width, 0.0f, 2) / t->width;
    scale_row(t, row, x, 0.0f, 1.0f / __builtin_sqrtf(square + t->epsilon));
  }
}

typedef struct {
  const float *x, *dy;     /* [rows, width] */
  const float *weight;     /* [width] */
  const float *statistics; /* [rows, 2], of the forward pass */
  float *result;           /* norm_dx: [rows, width]; norm_dweight: [row blocks, width] */
  int rows, width;
  int centred;             /* whether the mean was taken off: layerNorm */
} NormGradientTask;

/* dx = (d - mean(d) - normal mean(d normal)) scale, for d = dy weight and normal = (x - centre) scale; without the
   first mean for a row that was not centred. */
INLINE void row_gradient(const NormGradientTask *t, int row) {
  const float *x = t->x + (long)row * t->width, *dy = t->dy + (long)row * t->width, *w = t->weight;
  float *dx = t->result + (long)row * t->width;
  float centre = t->statistics[2 * row], scale = t->statistics[2 * row + 1];
  f32x4 c = SPLAT(centre), s = SPLAT(scale), sums = CONST(0.0f), products = CONST(0.0f);
  int i = 0;
  for (; i + 4 <= t->width; i += 4) {
    f32x4 d = MUL(LOAD(dy + i), LOAD(w + i));
    sums = ADD(sums, d);
    products = FMA(d, MUL(SUB(LOAD(x + i), c), s), products);
  }
  float mean = sum_of(sums), along = sum_of(products);
  for (; i < t->width; i++) {
    mean += dy[i] * w[i];
    along += dy[i] * w[i] * ((x[i] - centre) * scale);
  }
  mean = t->centred ? mean / t->width : 0.0f;
  along /= t->width;
  f32x4 m = SPLAT(mean), a = SPLAT(along);
  for (i = 0; i + 4 <= t->width; i += 4) {
    f32x4 d = SUB(MUL(LOAD(dy + i), LOAD(w + i)), m), normal = MUL(SUB(LOAD(x + i), c), s);
    STORE(dx + i, MUL(NFMA(normal, a, d), s));
  }
  for (; i < t->width; i++) dx[i] = (dy[i] * w[i] - mean - (x[i] - centre) * scale * along) * scale;
}

EXPORT(norm_dx_units) int norm_dx_units(const NormGradientTask *t) { return (t->rows + NORM_ROWS - 1) / NORM_ROWS; }
EXPORT(norm_dx) void norm_dx(const NormGradientTask *t, int begin, int end, void *own) {
  for (int row = begin * NORM_ROWS; row < least(end * NORM_ROWS, t->rows); row++) row_gradient(t, row);
}

/* Sums of dy normal over each block of rows, one row of `result` a block; `column_sums` adds them up. */
EXPORT(norm_dweight_units) int norm_dweight_units(const NormGradientTask *t) { return norm_dx_units(t); }
EXPORT(norm_dweight) void norm_dweight(const NormGradientTask *t, int begin, int end, void *own) {
  for (int unit = begin; unit < end; unit++) {
    float *sums = t->result + (long)unit * t->width;
    int first = unit * NORM_ROWS;
    for (int row = first; row < least(first + NORM_ROWS, t->rows); row++) {
      const float *x = t->x + (long)row * t->width, *dy = t->dy + (long)row * t->width;
      float centre = t->statistics[2 * row], scale = t->statistics[2 * row + 1];
      f32x4 c = SPLAT(centre), s = SPLAT(scale);
      int i = 0;
      for (; i + 4 <= t->width; i += 4) {
        f32x4 before = row == first ? CONST(0.0f) : LOAD(sums + i);
        STORE(sums + i, FMA(LOAD(dy + i), MUL(SUB(LOAD(x + i), c), s), before));
      }
      for (; i < t->width; i++) sums[i] = (row == first ? 0.0f : sums[i]) + dy[i] * ((x[i] - centre) * scale);
    }
  }
}
