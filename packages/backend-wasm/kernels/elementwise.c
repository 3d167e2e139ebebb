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
INLINE f32x4 near4(f32x4 x) { return AT_LEAST(AT_MOST(x, CONST(100.0f)), CONST(-100.0f)); }

/* Derivatives, each by the formula of core's activation.ts. */
INLINE f32x4 gelu_slope4(f32x4 x, const ExpConstants *c) {
  x = near4(x);
  f32x4 bell = bell4(x, c);
  return FMA(x, MUL(CONST(0.398942280f), bell), gelu_factor4(x, bell, c));
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

/* y = f(x), and y = f'(x) dy, of n values; the last ones in a vector whose rest is not stored. */
#define EACH(name, unroll)                                                                     \
  NOINLINE void each_##name(const float *x, float *y, int n) {                                 \
    ExpConstants c = exp_constants();                                                          \
    int i = 0;                                                                                 \
    unroll for (; i + 4 <= n; i += 4) STORE(y + i, name##4(LOAD(x + i), &c));                  \
    if (i < n) store_first(y + i, name##4(load_first(x + i, n - i), &c), n - i);               \
  }                                                                                            \
  NOINLINE void each_##name##_slope(const float *x, const float *dy, float *y, int n) {        \
    ExpConstants c = exp_constants();                                                          \
    int i = 0;                                                                                 \
    unroll for (; i + 4 <= n; i += 4)                                                          \
      STORE(y + i, MUL(name##_slope4(LOAD(x + i), &c), LOAD(dy + i)));                         \
    if (i < n)                                                                                 \
      store_first(y + i, MUL(name##_slope4(load_first(x + i, n - i), &c), load_first(dy + i, n - i)), n - i); \
  }
EACH(gelu, NO_UNROLL)
EACH(gelu_new, NO_UNROLL)
EACH(relu, UNROLL_4)
EACH(silu, NO_UNROLL)
EACH(tanh, NO_UNROLL)

EXPORT(activation_units) int activation_units(const ActivationTask *t) { return (t->size + CHUNK - 1) / CHUNK; }
EXPORT(activation) void activation(const ActivationTask *t, int begin, int end, void *own) {
  int from = begin * CHUNK, n = least(end * CHUNK, t->size) - from;
  const float *x = t->x + from, *dy = t->dy + from;
  float *y = t->y + from;
  switch (t->dy ? -t->kind : t->kind) {
    case GELU: each_gelu(x, y, n); break;
    case GELU_NEW: each_gelu_new(x, y, n); break;
    case RELU: each_relu(x, y, n); break;
    case SILU: each_silu(x, y, n); break;
    case TANH: each_tanh(x, y, n); break;
    case -GELU: each_gelu_slope(x, dy, y, n); break;
    case -GELU_NEW: each_gelu_new_slope(x, dy, y, n); break;
    case -RELU: each_relu_slope(x, dy, y, n); break;
    case -SILU: each_silu_slope(x, dy, y, n); break;
    case -TANH: each_tanh_slope(x, dy, y, n); break;
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

/* A unit is 16 rows of one matrix, or fewer in the end: so many make whole lines of the cache in y. */
enum { TURN_ROWS = 16 };
static int row_groups(const TransposeTask *t) { return (t->rows + TURN_ROWS - 1) / TURN_ROWS; }
EXPORT(transpose_units) int transpose_units(const TransposeTask *t) { return t->batch * row_groups(t); }

/* Four columns of `rows` rows. */
INLINE void turn_columns(const TransposeTask *t, const float *x, float *y, int rows) {
  long into = t->columns, out = t->rows;
  int i = 0;
  for (; i + 4 <= rows; i += 4, x += 4 * into, y += 4) {
    f32x4 c0, c1, c2, c3;
    turn4(LOAD(x), LOAD(x + into), LOAD(x + 2 * into), LOAD(x + 3 * into), &c0, &c1, &c2, &c3);
    STORE(y, c0);
    STORE(y + out, c1);
    STORE(y + 2 * out, c2);
    STORE(y + 3 * out, c3);
  }
  for (; i < rows; i++, x += into, y++)
    for (int j = 0; j < 4; j++) y[j * out] = x[j];
}

EXPORT(transpose) void transpose(const TransposeTask *t, int begin, int end, void *own) {
  for (int unit = begin; unit < end; unit++) {
    int row = unit % row_groups(t) * TURN_ROWS, rows = least(TURN_ROWS, t->rows - row), j = 0;
    long matrix = (long)(unit / row_groups(t)) * t->rows * t->columns;
    const float *x = t->x + matrix + (long)row * t->columns;
    float *y = t->y + matrix + row;
    for (; j + 4 <= t->columns; j += 4) turn_columns(t, x + j, y + (long)j * t->rows, rows);
    for (; j < t->columns; j++)
      for (int i = 0; i < rows; i++) y[(long)j * t->rows + i] = x[(long)i * t->columns + j];
  }
}
