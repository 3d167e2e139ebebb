/* Rows of a table, and the gradient that comes back to them. */
#include "simd.h"

typedef struct {
  const float *table; /* [rows, width] */
  const int *ids;     /* [count], from 0 to rows - 1 */
  float *y;           /* [count, width] */
  int rows, width, count;
} EmbeddingTask;

/* Rows of y that a unit copies. */
enum { EMBEDDING_IDS = 16 };

EXPORT(embedding_units) int embedding_units(const EmbeddingTask *t) {
  return (t->count + EMBEDDING_IDS - 1) / EMBEDDING_IDS;
}
EXPORT(embedding) void embedding(const EmbeddingTask *t, int begin, int end, void *own) {
  for (int i = begin * EMBEDDING_IDS; i < least(end * EMBEDDING_IDS, t->count); i++)
    copy_floats(t->y + (long)i * t->width, t->table + (long)t->ids[i] * t->width, t->width);
}

typedef struct {
  const float *dy; /* [count, width] */
  const int *ids;  /* [count] */
  float *dtable;   /* [rows, width] */
  int rows, width, count;
} EmbeddingGradientTask;

/* At most so many units, each a block of the table's rows that goes through all ids: ids that repeat are added in
   their order, whoever does the unit. */
enum { TABLE_BLOCKS = 64 };
INLINE int block_rows(const EmbeddingGradientTask *t) { return (t->rows + TABLE_BLOCKS - 1) / TABLE_BLOCKS; }

EXPORT(embedding_gradient_units) int embedding_gradient_units(const EmbeddingGradientTask *t) {
  return t->rows == 0 ? 0 : (t->rows + block_rows(t) - 1) / block_rows(t);
}
EXPORT(embedding_gradient) void embedding_gradient(const EmbeddingGradientTask *t, int begin, int end, void *own) {
  for (int unit = begin; unit < end; unit++) {
    int first = unit * block_rows(t), last = least(first + block_rows(t), t->rows);
    fill_zeros(t->dtable + (long)first * t->width, (long)(last - first) * t->width);
    for (int i = 0; i < t->count; i++)
      if (t->ids[i] >= first && t->ids[i] < last)
        add_floats(t->dtable + (long)t->ids[i] * t->width, t->dy + (long)i * t->width, t->width);
  }
}
