/* y = activation(x w + bias) + residual, over a weight in panels or a plain one. */
#include "activation.h"
#include "panels.h"
#include "product.h"

/* Rows of x that stay in the second cache while a panel passes, and values of k of them. Measured at 48 to 516 rows and
   256 to 4,096 values: more rows read each panel from memory less often (2 to 9 % over 96 by 512); fetching the next
   panel ahead, a line at a time between tiles, cost 10 %. */
enum { ROW_BLOCK = 192, K_BLOCK = 1024 };

/* Panels of a unit: few enough to share out among workers, enough to be worth it. */
enum { PANEL_GROUP = 4 };

typedef struct {
  const float *x;    /* [rows, in] */
  const float *w;    /* in panels, or plain: [in, out], or [out, in] when turned */
  const float *bias; /* [out], or 0 */
  const float *residual; /* [rows, out], or 0 */
  float *y;          /* [rows, out] */
  int rows, in, out, turned;
  int packed;
  int activation; /* of activation.h */
  int columns, tile_rows; /* the tile, measured at start */
} LinearTask;

/* What a unit keeps for itself. */
typedef struct {
  float start[16];           /* the bias of an edge panel, or zeros */
  float edge[ROW_BLOCK * 16]; /* sums of a panel that y has no room for */
  float panels[];            /* a group of panels of a plain weight */
} LinearScratch;

/* The hot tile made y: `rows` rows from `row` on, `inside` of its columns from `first` on; c may be where y is. */
static void finish_tile(const LinearTask *t, float *c, int c_stride, int row, int rows, int first, int inside) {
  activate(c, c_stride, rows, (inside + 3) / 4, t->activation);
  long at = (long)row * t->out + first;
  for (int i = 0; i < rows; i++, at += t->out, c += c_stride)
    if (t->residual)
      sum_floats(t->y + at, c, t->residual + at, inside);
    else if (c != t->y + at)
      copy_floats(t->y + at, c, inside);
}

/* One row times one panel. Memory is the limit, so four values of k are in flight. */
#define ROW_TIMES_PANEL(VECTORS)                                                                       \
  NOINLINE void row_times_panel_##VECTORS(const float *x, const float *panel, const float *start, float *y, int k) { \
    f32x4 sum[4][VECTORS];                                                                             \
    UNROLL for (int j = 0; j < VECTORS; j++) {                                                         \
      sum[0][j] = LOAD(start + 4 * j);                                                                 \
      sum[1][j] = sum[2][j] = sum[3][j] = CONST(0.0f);                                                 \
    }                                                                                                  \
    NO_UNROLL for (; k >= 4; k -= 4) {                                                                 \
      UNROLL for (int i = 0; i < 4; i++) {                                                             \
        f32x4 v = LOAD_SPLAT(x + i);                                                                   \
        UNROLL for (int j = 0; j < VECTORS; j++)                                                       \
          sum[i][j] = FMA(v, LOAD(panel + 4 * (VECTORS * i + j)), sum[i][j]);                          \
      }                                                                                                \
      x += 4;                                                                                          \
      panel += 16 * VECTORS;                                                                           \
    }                                                                                                  \
    NO_UNROLL for (; k > 0; k--) {                                                                     \
      f32x4 v = LOAD_SPLAT(x++);                                                                       \
      UNROLL for (int j = 0; j < VECTORS; j++) sum[0][j] = FMA(v, LOAD(panel + 4 * j), sum[0][j]);     \
      panel += 4 * VECTORS;                                                                            \
    }                                                                                                  \
    UNROLL for (int j = 0; j < VECTORS; j++)                                                           \
      STORE(y + 4 * j, ADD(ADD(sum[0][j], sum[1][j]), ADD(sum[2][j], sum[3][j])));                     \
  }
ROW_TIMES_PANEL(2)
ROW_TIMES_PANEL(4)

/* Fewer rows than this go along the rows of a plain [out, in], since packing it would cost more than the product: one
   row of GPT-2's output layer, which is tied to the embedding, takes 5 ms instead of 16. */
enum { PACKED_FROM_ROWS = 4 };

/* One row times one row, so that the weight is one stream: four rows side by side took 14 ms. */
NOINLINE float dot(const float *x, const float *w, int n) {
  f32x4 sum[8];
  UNROLL for (int i = 0; i < 8; i++) sum[i] = CONST(0.0f);
  NO_UNROLL for (; n >= 32; n -= 32, x += 32, w += 32)
    UNROLL for (int i = 0; i < 8; i++) sum[i] = FMA(LOAD(x + 4 * i), LOAD(w + 4 * i), sum[i]);
  NO_UNROLL for (; n >= 4; n -= 4, x += 4, w += 4) sum[0] = FMA(LOAD(x), LOAD(w), sum[0]);
  if (n > 0) sum[1] = FMA(load_first(x, n), load_first(w, n), sum[1]);
  return sum_of(ADD(ADD(ADD(sum[0], sum[1]), ADD(sum[2], sum[3])), ADD(ADD(sum[4], sum[5]), ADD(sum[6], sum[7]))));
}

/* All rows times the rows of a group of panels, from `first` on. */
NOINLINE void few_rows(const LinearTask *t, int first, LinearScratch *own) {
  int width = PANEL_GROUP * t->columns, inside = least(width, t->out - first);
  for (int j = 0; j < inside; j++)
    for (int i = 0; i < t->rows; i++)
      own->edge[i * width + j] = (t->bias ? t->bias[first + j] : 0.0f) +
                                 dot(t->x + (long)i * t->in, t->w + (long)(first + j) * t->in, t->in);
  finish_tile(t, own->edge, width, 0, t->rows, first, inside);
}

/* `rows` rows from `row` on times one panel. */
static void rows_times_panel(const LinearTask *t, int row, int rows, const float *panel, int number, LinearScratch *own) {
  int columns = t->columns, first = number * columns, inside = least(columns, t->out - first);
  const float *x = t->x + (long)row * t->in;
  float *y = t->y + (long)row * t->out + first;
  float *c = inside == columns ? y : own->edge;
  int c_stride = inside == columns ? t->out : columns;
  const float *start = t->bias + first;
  if (!t->bias || inside < columns) {
    for (int j = 0; j < columns; j++) own->start[j] = t->bias && j < inside ? t->bias[first + j] : 0.0f;
    start = own->start;
  }

  /* Tiles take one value of k at least. */
  if (rows == 1 || t->in == 0)
    for (int i = 0; i < rows; i++)
      if (columns == 16)
        row_times_panel_4(x, panel, start, c + i * c_stride, t->in);
      else
        row_times_panel_2(x, panel, start, c + i * c_stride, t->in);
  else
    for (int k = 0; k < t->in; k += K_BLOCK)
      products(columns, rows, t->tile_rows, x + k, t->in, panel + (long)k * columns, columns, c, c_stride,
               least(K_BLOCK, t->in - k), k == 0 ? start : c, k == 0 ? 0 : c_stride);
  finish_tile(t, c, c_stride, row, rows, first, inside);
}

static int row_blocks(const LinearTask *t) { return (t->rows + ROW_BLOCK - 1) / ROW_BLOCK; }
static int panel_groups(const LinearTask *t) {
  return (t->out + PANEL_GROUP * t->columns - 1) / (PANEL_GROUP * t->columns);
}

/* A unit of a packed weight is a group of panels for one block of rows; of a plain weight for all rows, since the
   group is packed on the way (where it is packed at all). */
EXPORT(linear_units) int linear_units(const LinearTask *t) {
  return panel_groups(t) * (t->packed ? row_blocks(t) : 1);
}

EXPORT(linear_scratch) int linear_scratch(const LinearTask *t) {
  return sizeof(LinearScratch) + (t->packed ? 0 : PANEL_GROUP * t->columns * t->in * (int)sizeof(float));
}

EXPORT(linear) void linear(const LinearTask *t, int begin, int end, LinearScratch *own) {
  int groups = panel_groups(t), blocks = row_blocks(t);
  int panels = (t->out + t->columns - 1) / t->columns;
  long length = (long)t->in * t->columns;
  for (int unit = begin; unit < end; unit++) {
    int first = unit % groups * PANEL_GROUP, last = least(first + PANEL_GROUP, panels);
    if (!t->packed && t->turned && t->rows < PACKED_FROM_ROWS) {
      few_rows(t, first * t->columns, own);
      continue;
    }
    const float *group = t->packed ? t->w + first * length : own->panels;
    if (!t->packed)
      for (int p = first; p < last; p++)
        pack_panel(t->w, t->in, t->out, t->turned, t->columns, p, own->panels + (p - first) * length);
    int block = t->packed ? unit / groups : 0, behind = t->packed ? block + 1 : blocks;
    for (; block < behind; block++) {
      int row = block * ROW_BLOCK, rows = least(ROW_BLOCK, t->rows - row);
      for (int p = first; p < last; p++) rows_times_panel(t, row, rows, group + (p - first) * length, p, own);
    }
  }
}

typedef struct {
  float *w;      /* plain: [in, out], or [out, in] when turned */
  float *panels; /* [out / columns, in, columns] */
  int in, out, turned, columns;
} PackTask;

EXPORT(pack_units) int pack_units(const PackTask *t) { return (t->out + t->columns - 1) / t->columns; }
EXPORT(pack) void pack(const PackTask *t, int begin, int end, void *own) {
  for (int p = begin; p < end; p++)
    pack_panel(t->w, t->in, t->out, t->turned, t->columns, p, t->panels + (long)p * t->in * t->columns);
}

EXPORT(unpack_units) int unpack_units(const PackTask *t) { return pack_units(t); }
EXPORT(unpack) void unpack(const PackTask *t, int begin, int end, void *own) {
  for (int p = begin; p < end; p++)
    unpack_panel(t->panels + (long)p * t->in * t->columns, t->in, t->out, t->turned, t->columns, p, t->w);
}

typedef struct {
  LinearTask each; /* the first matrices; the others follow them */
  int batch;
} MatmulTask;

typedef struct {
  LinearTask one;
  LinearScratch own;
} MatmulScratch;

/* y = x w of every pair of matrices, w plain: the units of one pair after those of another. */
EXPORT(matmul_units) int matmul_units(const MatmulTask *t) { return t->batch * linear_units(&t->each); }
EXPORT(matmul_scratch) int matmul_scratch(const MatmulTask *t) {
  return linear_scratch(&t->each) + (int)(sizeof(MatmulScratch) - sizeof(LinearScratch));
}
EXPORT(matmul) void matmul(const MatmulTask *t, int begin, int end, MatmulScratch *own) {
  int units = linear_units(&t->each);
  own->one = t->each;
  for (int unit = begin; unit < end; unit++) {
    long matrix = unit / units;
    own->one.x = t->each.x + matrix * t->each.rows * t->each.in;
    own->one.w = t->each.w + matrix * t->each.in * t->each.out;
    own->one.y = t->each.y + matrix * t->each.rows * t->each.out;
    linear(&own->one, unit % units, unit % units + 1, &own->own);
  }
}
