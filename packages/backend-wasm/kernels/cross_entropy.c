/* Softmax cross-entropy of rows of logits: no second copy of them, only two numbers a row. */
#include "exp.h"

typedef struct {
  const float *logits;  /* [rows, classes] */
  const int *labels;    /* [rows], -1 for a row that does not count */
  float *statistics;    /* [rows, 2]: the greatest logit, and the sum of exp(logit - greatest) */
  float *means;         /* [rows]: the mean of logit - greatest; 0 where nobody asks for it */
  int rows, classes;
} CrossEntropyTask;

/* Floats of a unit, which is one row at least. */
enum { ENTROPY_FLOATS = 16384 };
INLINE int rows_of_unit(int classes) { return greatest(1, ENTROPY_FLOATS / classes); }

/* Floats that are summed in single precision; the sums of such blocks are added in double. */
enum { SUM_BLOCK = 1024 };

/* The greatest of n values; a NaN may be passed over, which the sum then has. */
NOINLINE float greatest_of(const float *x, int n) {
  f32x4 a = LOAD_SPLAT(x), b = a;
  int i = 0;
  for (; i + 8 <= n; i += 8) {
    a = AT_LEAST(a, LOAD(x + i));
    b = AT_LEAST(b, LOAD(x + i + 4));
  }
  for (; i < n; i++) a = AT_LEAST(a, LOAD_SPLAT(x + i));
  return max_of(wasm_f32x4_max(a, b));
}

/* The sum of f(x - centre) over n values: f is exp, or nothing. */
#define SUM_SHIFTED(name, F)                                                              \
  NOINLINE double name(const float *x, int n, float centre) {                             \
    ExpConstants c = exp_constants();                                                     \
    f32x4 shift = SPLAT(centre);                                                          \
    double sum = 0.0;                                                                     \
    for (int begin = 0; begin < n; begin += SUM_BLOCK) {                                  \
      int i = begin, end = least(n, begin + SUM_BLOCK);                                   \
      f32x4 a = CONST(0.0f), b = CONST(0.0f);                                             \
      NO_UNROLL for (; i + 8 <= end; i += 8) {                                            \
        a = ADD(a, F(SUB(LOAD(x + i), shift), &c));                                       \
        b = ADD(b, F(SUB(LOAD(x + i + 4), shift), &c));                                   \
      }                                                                                   \
      if (i + 4 <= end) a = ADD(a, F(SUB(LOAD(x + i), shift), &c)), i += 4;               \
      if (i < end)                                                                        \
        b = ADD(b, wasm_v128_and(F(SUB(load_first(x + i, end - i), shift), &c), first_lanes(end - i))); \
      sum += sum_of(ADD(a, b));                                                           \
    }                                                                                     \
    return sum;                                                                           \
  }
INLINE f32x4 same4(f32x4 x, const ExpConstants *c) { return x; }
SUM_SHIFTED(sum_exp, exp4)
SUM_SHIFTED(sum_plain, same4)

EXPORT(cross_entropy_units) int cross_entropy_units(const CrossEntropyTask *t) {
  return (t->rows + rows_of_unit(t->classes) - 1) / rows_of_unit(t->classes);
}
EXPORT(cross_entropy) void cross_entropy(const CrossEntropyTask *t, int begin, int end, void *own) {
  int group = rows_of_unit(t->classes);
  for (int row = begin * group; row < least(end * group, t->rows); row++) {
    const float *x = t->logits + (long)row * t->classes;
    int counts = t->labels[row] >= 0;
    float most = counts ? greatest_of(x, t->classes) : 0.0f;
    t->statistics[2 * row] = most;
    t->statistics[2 * row + 1] = counts ? (float)sum_exp(x, t->classes, most) : 1.0f;
    if (t->means) t->means[row] = counts ? (float)(sum_plain(x, t->classes, most) / t->classes) : 0.0f;
  }
}

typedef struct {
  const float *logits;     /* [rows, classes] */
  const int *labels;       /* [rows], -1 for a row that does not count */
  const float *statistics; /* [rows, 2], of the forward pass */
  const float *dy;         /* one value */
  float *dx;               /* [rows, classes] */
  int rows, classes;
  float weight;    /* of each row that counts */
  float smoothing; /* share of the target spread over all classes */
} CrossEntropyGradientTask;

/* dx = (exp(x - most) / sum - spread) scale. */
NOINLINE void row_slopes(const float *x, float *dx, int n, float most, float sum, float spread, float scale) {
  ExpConstants c = exp_constants();
  f32x4 shift = SPLAT(most), share = SPLAT(1.0f / sum), off = SPLAT(spread), s = SPLAT(scale);
  int i = 0;
  NO_UNROLL for (; i + 8 <= n; i += 8) {
    f32x4 a = SUB(LOAD(x + i), shift), b = SUB(LOAD(x + i + 4), shift);
    BOTH_LOADED;
    STORE(dx + i, MUL(SUB(MUL(exp4(a, &c), share), off), s));
    STORE(dx + i + 4, MUL(SUB(MUL(exp4(b, &c), share), off), s));
  }
  for (; i + 4 <= n; i += 4) STORE(dx + i, MUL(SUB(MUL(exp4(SUB(LOAD(x + i), shift), &c), share), off), s));
  if (i < n) {
    f32x4 e = exp4(SUB(load_first(x + i, n - i), shift), &c);
    store_first(dx + i, MUL(SUB(MUL(e, share), off), s), n - i);
  }
}

EXPORT(cross_entropy_gradient_units) int cross_entropy_gradient_units(const CrossEntropyGradientTask *t) {
  return (t->rows + rows_of_unit(t->classes) - 1) / rows_of_unit(t->classes);
}
EXPORT(cross_entropy_gradient)
void cross_entropy_gradient(const CrossEntropyGradientTask *t, int begin, int end, void *own) {
  int group = rows_of_unit(t->classes);
  float scale = t->weight * *t->dy, spread = t->smoothing / t->classes;
  for (int row = begin * group; row < least(end * group, t->rows); row++) {
    long first = (long)row * t->classes;
    int label = t->labels[row];
    if (label >= 0) {
      row_slopes(t->logits + first, t->dx + first, t->classes, t->statistics[2 * row], t->statistics[2 * row + 1],
                 spread, scale);
      t->dx[first + label] -= (1.0f - t->smoothing) * scale;
    } else
      fill_zeros(t->dx + first, t->classes);
  }
}
