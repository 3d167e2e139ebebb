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
INLINE f32x4 near4(f32x4 x, const ActivationConstants *c) { return AT_LEAST(AT_MOST(x, c->far), c->near); }

/* Derivatives, each by the formula of core's activation.ts. */
INLINE f32x4 gelu_slope4(f32x4 x, const ActivationConstants *c) {
  x = near4(x, c);
  f32x4 bell = bell4(x, c);
  return FMA(x, MUL(c->bell, bell), gelu_factor4(x, bell, c));
}

INLINE f32x4 gelu_new_slope4(f32x4 x, const ActivationConstants *c) {
  x = near4(x, c);
  f32x4 square = MUL(x, x);
  f32x4 factor = sigmoid4(MUL(x, FMA(square, c->cubic, c->linear)), c);
  f32x4 inner = FMA(square, c->slope_cubic, c->linear);
  return MUL(factor, FMA(MUL(x, SUB(c->exp.one, factor)), inner, c->exp.one));
}

INLINE f32x4 relu_slope4(f32x4 x, const ActivationConstants *c) {
  return wasm_v128_and(wasm_f32x4_gt(x, CONST(0.0f)), c->exp.one);
}

INLINE f32x4 silu_slope4(f32x4 x, const ActivationConstants *c) {
  x = near4(x, c);
  f32x4 s = sigmoid4(x, c);
  return MUL(s, FMA(x, SUB(c->exp.one, s), c->exp.one));
}

INLINE f32x4 tanh_slope4(f32x4 x, const ActivationConstants *c) {
  f32x4 t = tanh4(x, c);
  return NFMA(t, t, c->exp.one);
}

/* y = f(x), and y = f'(x) dy, of n values; the last ones in a vector whose rest is not stored. */
#define EACH(name)                                                                             \
  NOINLINE void each_##name(const float *x, float *y, int n) {                                 \
    ActivationConstants c = activation_constants();                                            \
    int i = 0;                                                                                 \
    NO_UNROLL for (; i + 8 <= n; i += 8) {                                                     \
      f32x4 a = LOAD(x + i), b = LOAD(x + i + 4);                                              \
      BOTH_LOADED;                                                                             \
      STORE(y + i, name##4(a, &c));                                                            \
      STORE(y + i + 4, name##4(b, &c));                                                        \
    }                                                                                          \
    for (; i + 4 <= n; i += 4) STORE(y + i, name##4(LOAD(x + i), &c));                         \
    if (i < n) store_first(y + i, name##4(load_first(x + i, n - i), &c), n - i);               \
  }                                                                                            \
  NOINLINE void each_##name##_slope(const float *x, const float *dy, float *y, int n) {        \
    ActivationConstants c = activation_constants();                                            \
    int i = 0;                                                                                 \
    NO_UNROLL for (; i + 8 <= n; i += 8) {                                                     \
      f32x4 a = LOAD(x + i), b = LOAD(x + i + 4), da = LOAD(dy + i), db = LOAD(dy + i + 4);    \
      BOTH_LOADED;                                                                             \
      STORE(y + i, MUL(name##_slope4(a, &c), da));                                             \
      STORE(y + i + 4, MUL(name##_slope4(b, &c), db));                                         \
    }                                                                                          \
    for (; i + 4 <= n; i += 4) STORE(y + i, MUL(name##_slope4(LOAD(x + i), &c), LOAD(dy + i))); \
    if (i < n)                                                                                 \
      store_first(y + i, MUL(name##_slope4(load_first(x + i, n - i), &c), load_first(dy + i, n - i)), n - i); \
  }
EACH(gelu)
EACH(gelu_new)
EACH(relu)
EACH(silu)
EACH(tanh)

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
