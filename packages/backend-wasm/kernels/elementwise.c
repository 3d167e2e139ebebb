/* Kernels that go through their values once. */
#include "activation.h"
#include "panels.h"

/* Floats of a unit: 16 KB. */
enum { CHUNK = 4096 };

typedef struct {
  const float *x; /* what the activation was given */
  const float *dy; /* 0 for the activation itself */
  float *y;
  int size, kind;
} ActivationTask;

/* Derivatives are 0 or 1 out there, where their formulas would make no number of an infinity. */
INLINE f32x4 near4(f32x4 x) { return wasm_f32x4_max(wasm_f32x4_min(x, CONST(100.0f)), CONST(-100.0f)); }

/* Derivatives, each by the formula of core's activation.ts. */
INLINE f32x4 gelu_slope4(f32x4 x, const ExpConstants *c) {
  x = near4(x);
  f32x4 density = MUL(CONST(0.398942280f), exp4(MUL(MUL(x, x), CONST(-0.5f)), c));
  return FMA(x, density, gelu_factor4(x, c));
}

INLINE f32x4 gelu_new_slope4(f32x4 x, const ExpConstants *c) {
  x = near4(x);
  f32x4 square = MUL(x, x);
  f32x4 factor = sigmoid4(MUL(x, FMA(square, CONST(0.0713548163f), CONST(1.59576912f))), c);
  f32x4 inner = FMA(square, CONST(0.214064449f), CONST(1.59576912f));
  return MUL(factor, FMA(MUL(x, SUB(c->one, factor)), inner, c->one));
}

INLINE f32x4 relu_slope4(f32x4 x, const ExpConstants *c) {
  return wasm_v128_and(wasm_f32x4_gt(x, CONST(0.0f)), c->one);
}

INLINE f32x4 silu_slope4(f32x4 x, const ExpConstants *c) {
  x = near4(x);
  f32x4 s = sigmoid4(x, c);
  return MUL(s, FMA(x, SUB(c->one, s), c->one));
}

INLINE f32x4 tanh_slope4(f32x4 x, const ExpConstants *c) {
  f32x4 t = tanh4(x, c);
  return NFMA(t, t, c->one);
}

/* y = f(x), or f'(x) dy, of n values; the last ones in a vector whose rest is not stored. */
#define EACH(name)                                                                        \
  NOINLINE void each_##name(const float *x, const float *dy, float *y, int n) {           \
    ExpConstants c = exp_constants();                                                     \
    int i = 0;                                                                            \
    if (dy) {                                                                             \
      NO_UNROLL for (; i + 4 <= n; i += 4) STORE(y + i, MUL(name##_slope4(LOAD(x + i), &c), LOAD(dy + i))); \
      if (i < n) store_first(y + i, MUL(name##_slope4(load_first(x + i, n - i), &c), load_first(dy + i, n - i)), n - i); \
    } else {                                                                              \
      NO_UNROLL for (; i + 4 <= n; i += 4) STORE(y + i, name##4(LOAD(x + i), &c));        \
      if (i < n) store_first(y + i, name##4(load_first(x + i, n - i), &c), n - i);        \
    }                                                                                     \
  }
EACH(gelu)
EACH(gelu_new)
EACH(relu)
EACH(silu)
EACH(tanh)

EXPORT(activation_units) int activation_units(const ActivationTask *t) { return (t->size + CHUNK - 1) / CHUNK; }
EXPORT(activation) void activation(const ActivationTask *t, int begin, int end, void *own) {
  int from = begin * CHUNK, n = least(end * CHUNK, t->size) - from;
  const float *x = t->x + from, *dy = t->dy ? t->dy + from : 0;
  float *y = t->y + from;
  switch (t->kind) {
    case GELU: each_gelu(x, dy, y, n); break;
    case GELU_NEW: each_gelu_new(x, dy, y, n); break;
    case RELU: each_relu(x, dy, y, n); break;
    case SILU: each_silu(x, dy, y, n); break;
    case TANH: each_tanh(x, dy, y, n); break;
  }
}

typedef struct {
  const float *x; /* [batch, rows, width] */
  float *y;       /* [batch, width] */
  int rows, width, batch;
} ColumnSumsTask;

/* Columns of a unit: two lines of the cache. */
enum { SUM_COLUMNS = 32 };

/* Sums over the rows of each matrix, one row after the other, so that they do not depend on the number of units. */
static int column_groups(const ColumnSumsTask *t) { return (t->width + SUM_COLUMNS - 1) / SUM_COLUMNS; }
EXPORT(column_sums_units) int column_sums_units(const ColumnSumsTask *t) { return t->batch * column_groups(t); }
EXPORT(column_sums) void column_sums(const ColumnSumsTask *t, int begin, int end, void *own) {
  for (int unit = begin; unit < end; unit++) {
    int matrix = unit / column_groups(t), first = unit % column_groups(t) * SUM_COLUMNS;
    int n = least(SUM_COLUMNS, t->width - first);
    const float *x = t->x + (long)matrix * t->rows * t->width + first;
    float *y = t->y + (long)matrix * t->width + first;
    fill_zeros(y, n);
    for (int i = 0; i < t->rows; i++, x += t->width) add_floats(y, x, n);
  }
}

typedef struct {
  const float *x; /* [batch, rows, columns] */
  float *y;       /* [batch, columns, rows] */
  int batch, rows, columns;
} TransposeTask;

/* A unit is four rows of one matrix, or fewer in the end. */
static int row_fours(const TransposeTask *t) { return (t->rows + 3) / 4; }
EXPORT(transpose_units) int transpose_units(const TransposeTask *t) { return t->batch * row_fours(t); }
EXPORT(transpose) void transpose(const TransposeTask *t, int begin, int end, void *own) {
  for (int unit = begin; unit < end; unit++) {
    int row = unit % row_fours(t) * 4, rows = least(4, t->rows - row), j = 0;
    long matrix = (long)(unit / row_fours(t)) * t->rows * t->columns;
    const float *x = t->x + matrix + (long)row * t->columns;
    float *y = t->y + matrix + row;
    if (rows == 4)
      for (; j + 4 <= t->columns; j += 4) {
        f32x4 c0, c1, c2, c3;
        turn4(LOAD(x + j), LOAD(x + t->columns + j), LOAD(x + 2 * (long)t->columns + j),
              LOAD(x + 3 * (long)t->columns + j), &c0, &c1, &c2, &c3);
        STORE(y + (long)j * t->rows, c0);
        STORE(y + (long)(j + 1) * t->rows, c1);
        STORE(y + (long)(j + 2) * t->rows, c2);
        STORE(y + (long)(j + 3) * t->rows, c3);
      }
    for (; j < t->columns; j++)
      for (int i = 0; i < rows; i++) y[(long)j * t->rows + i] = x[(long)i * t->columns + j];
  }
}
