/* Runs of values moved, and added where one tensor is repeated along another. */
#include "simd.h"

/* Floats of a unit. */
enum { BLOCK_FLOATS = 4096 };

typedef struct {
  const float *x; /* [batch, rows, columns, width] */
  float *y;       /* [batch, columns, rows, width] */
  int batch, rows, columns, width;
} SwapTask;

/* Rows and columns of blocks exchanged: the heads of attention. A unit is a line of y. */
EXPORT(swap_units) int swap_units(const SwapTask *t) { return t->batch * t->columns; }
EXPORT(swap) void swap(const SwapTask *t, int begin, int end, void *own) {
  long stride = (long)t->columns * t->width, line = (long)t->rows * t->width;
  for (int unit = begin; unit < end; unit++) {
    const float *x = t->x + (long)(unit / t->columns) * t->rows * stride + (long)(unit % t->columns) * t->width;
    float *y = t->y + unit * line;
    for (int row = 0; row < t->rows; row++) copy_floats(y + (long)row * t->width, x + row * stride, t->width);
  }
}

typedef struct {
  const float *x; /* [rows, x_width] */
  float *y;       /* [rows, y_width] */
  int rows, x_width, y_width;
  int begin; /* of the shorter in the longer: where a cut starts, or how many zeros come before */
} CutTask;

INLINE int rows_of_cut(const CutTask *t) {
  return greatest(1, BLOCK_FLOATS / greatest(1, greatest(t->x_width, t->y_width)));
}

/* A part of every row, y_width values from `begin` on. */
EXPORT(cut_units) int cut_units(const CutTask *t) { return (t->rows + rows_of_cut(t) - 1) / rows_of_cut(t); }
EXPORT(cut) void cut(const CutTask *t, int begin, int end, void *own) {
  int group = rows_of_cut(t);
  for (int row = begin * group; row < least(end * group, t->rows); row++)
    copy_floats(t->y + (long)row * t->y_width, t->x + (long)row * t->x_width + t->begin, t->y_width);
}

/* Every row with zeros around it. */
EXPORT(pad_units) int pad_units(const CutTask *t) { return cut_units(t); }
EXPORT(pad) void pad(const CutTask *t, int begin, int end, void *own) {
  int group = rows_of_cut(t);
  for (int row = begin * group; row < least(end * group, t->rows); row++) {
    float *y = t->y + (long)row * t->y_width;
    int behind = t->begin + t->x_width;
    fill_zeros(y, t->begin);
    copy_floats(y + t->begin, t->x + (long)row * t->x_width, t->x_width);
    fill_zeros(y + behind, t->y_width - behind);
  }
}

typedef struct {
  const float *x; /* [outer, repeats, inner] */
  const float *y; /* [outer, inner] */
  float *sum;     /* [outer, repeats, inner] */
  int size, repeats, inner;
} AddTask;

/* x + y, y repeated. A unit is a stretch of the sum, which may begin within a row. */
EXPORT(add_units) int add_units(const AddTask *t) { return (t->size + BLOCK_FLOATS - 1) / BLOCK_FLOATS; }
EXPORT(add) void add(const AddTask *t, int begin, int end, void *own) {
  int last = least(end * BLOCK_FLOATS, t->size);
  for (int at = begin * BLOCK_FLOATS; at < last;) {
    int row = at / t->inner, within = at % t->inner, n = least(t->inner - within, last - at), i = 0;
    const float *x = t->x + at, *y = t->y + (long)(row / t->repeats) * t->inner + within;
    float *sum = t->sum + at;
    for (; i + 4 <= n; i += 4) STORE(sum + i, ADD(LOAD(x + i), LOAD(y + i)));
    for (; i < n; i++) sum[i] = x[i] + y[i];
    at += n;
  }
}
