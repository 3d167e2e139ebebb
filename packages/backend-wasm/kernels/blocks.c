/* Runs of values moved, and added where one tensor is repeated along another. */
#include "simd.h"

/* Floats of a unit. */
enum { BLOCK_FLOATS = 4096 };

typedef struct {
  const float *x;  /* split: [batch, rows, width]; merge: [batch, parts, rows, part] */
  float *y;        /* the other way round */
  int batch, rows, width;
  int parts, part; /* number of parts and floats of each: the heads of attention */
  int begin;       /* of the first part in a row of `width` */
} PartsTask;

/* Rows of a unit: whole rows are read or written while they are in the first cache. */
enum { PART_ROWS = 16 };
static int parts_groups(const PartsTask *t) { return (t->rows + PART_ROWS - 1) / PART_ROWS; }

/* What a unit moves: so many rows from `row` on of one matrix. */
typedef struct {
  long whole, cut; /* where they begin in [batch, rows, width], and in the first part of [batch, parts, rows, part] */
  int rows;
} PartRows;

INLINE PartRows part_rows(const PartsTask *t, int unit) {
  long matrix = unit / parts_groups(t);
  int row = unit % parts_groups(t) * PART_ROWS;
  PartRows at = {(matrix * t->rows + row) * t->width, (matrix * t->parts * t->rows + row) * t->part,
                 least(PART_ROWS, t->rows - row)};
  return at;
}

/* Side by side in rows, to one after the other. */
EXPORT(split_units) int split_units(const PartsTask *t) { return t->batch * parts_groups(t); }
EXPORT(split) void split(const PartsTask *t, int begin, int end, void *own) {
  for (int unit = begin; unit < end; unit++) {
    PartRows at = part_rows(t, unit);
    for (int p = 0; p < t->parts; p++)
      for (int row = 0; row < at.rows; row++)
        copy_floats(t->y + at.cut + ((long)p * t->rows + row) * t->part,
                    t->x + at.whole + (long)row * t->width + t->begin + p * t->part, t->part);
  }
}

/* Back, with zeros around the parts. */
EXPORT(merge_units) int merge_units(const PartsTask *t) { return split_units(t); }
EXPORT(merge) void merge(const PartsTask *t, int begin, int end, void *own) {
  int behind = t->begin + t->parts * t->part;
  for (int unit = begin; unit < end; unit++) {
    PartRows at = part_rows(t, unit);
    for (int row = 0; row < at.rows; row++) {
      float *y = t->y + at.whole + (long)row * t->width;
      fill_zeros(y, t->begin);
      for (int p = 0; p < t->parts; p++)
        copy_floats(y + t->begin + p * t->part, t->x + at.cut + ((long)p * t->rows + row) * t->part, t->part);
      fill_zeros(y + behind, t->width - behind);
    }
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
    int row = at / t->inner, within = at % t->inner, n = least(t->inner - within, last - at);
    sum_floats(t->sum + at, t->x + at, t->y + (long)(row / t->repeats) * t->inner + within, n);
    at += n;
  }
}
