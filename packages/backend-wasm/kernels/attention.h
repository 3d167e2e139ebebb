/* What the forward and the backward pass of attention share: the task, and the scores of a tile. */
#ifndef ATTENTION_H
#define ATTENTION_H

#include "exp.h"
#include "panels.h"
#include "product.h"
#include "random.h"

/* The tile: its scores (6 KB) stay in the first cache. ../src/attention-plan.ts plans in the same sizes. */
enum { QUERIES = 24, KEYS = 64 };

/* Positions start + step i, i < count. */
typedef struct {
  int start, step, count;
} Range;

/* A tile that allows a pair. `mask` is 0 where it allows all of them, else a word of 64 bits for each query. */
typedef struct {
  int keys; /* number of the range of keys */
  const uint64_t *mask;
} Tile;

/* Part of what a head of a batch row attends to; positions of queries count from the call's first row. */
typedef struct {
  int query_tiles, key_tiles;
  const Range *queries;
  const Range *keys;
  const int *first; /* [query_tiles + 1]: where the tiles of each range of queries begin */
  const Tile *tiles;
} Plan;

/* Disjoint parts that together are all of it, each in an order of its own. */
typedef struct {
  int part_count; /* at least 1 */
  const Plan *parts;
} HeadPlan;

/* A tensor that a modifier looks up, [batch or 1, heads or 1, queries or 1, length]; a stride of 0 repeats. */
typedef struct {
  const float *values;
  int batch_stride, head_stride, row_stride, length;
} Lookup;

/* The same for one head of one batch row, as emitted modules read it. */
typedef struct {
  const float *values;
  int row_stride, length;
} RowLookup;

/* `modify` of an emitted module: @heddle/attention, emit-wasm.ts. A pointer is a slot of the imported table. */
typedef void (*Modify)(const float *scores, float *out, int stride, int query_start, int query_step, int query_count,
                       int key_start, int key_step, int key_count, int head, int query_length, int key_length,
                       int query_offset, const int *attributes, const uint8_t *tables, const RowLookup *lookups);

/* `lookupGradients`: adds upstream times derivative to what was looked up. */
typedef void (*AddGradients)(const float *scores, const float *upstream, int stride, int query_start, int query_step,
                             int query_count, int key_start, int key_step, int key_count, int head, int query_length,
                             int key_length, int query_offset, const int *attributes, const uint8_t *tables,
                             const RowLookup *lookups, const RowLookup *gradients);

typedef struct {
  Modify modify, derivative;
  AddGradients add_gradients;
  const Lookup *lookups;
  const Lookup *gradients; /* like lookups, one for every head of every batch row; 0 when they are not wanted */
  int lookup_count;
  const int *attributes; /* [batch or 1, attributes]: addresses of the values */
  int attribute_stride;
  const uint8_t *tables;
} Modifier;

typedef struct {
  const float *q; /* [batch, heads, queries, d] */
  const float *k; /* [batch, key_heads, capacity, d] */
  const float *v; /* [batch, key_heads, capacity, e] */
  float *o;       /* [batch, heads, queries, e] */
  const HeadPlan *const *plans;
  int plan_batch_stride, plan_head_stride; /* 0 where batch rows or heads are alike */
  int batch, heads, key_heads, queries, capacity, d, e;
  int query_tiles; /* the most that a head of one part has, at least 1 */
  int key_tiles;   /* the most that a part has */
  float scale;
  int columns, tile_rows; /* the tile of products, measured at start */
  int key_length;
  const int *query_offsets; /* [batch]: position of the first query; only modifiers read it */
  const Modifier *modifiers;
  int modifier_count, lookup_count; /* lookups of all modifiers together */
  uint32_t dropout_key0, dropout_key1; /* of the stream whose numbers are in the order of [batch, heads, queries, key_length] */
  int dropout_limit;                   /* 0: no dropout */
  float dropout_kept;
  int packs_keys;                      /* 0: a few queries are scored key by key */
  float *stats; /* [batch, heads, queries, 2]: a row's greatest score and 1 / its sum of exponentials; or 0,
                   where neither another part of a head nor a backward pass reads it */
} AttentionTask;

INLINE int padded(int width) { return up_to_multiple(width, 16); }

/* Takes n floats, as a multiple of a vector. */
INLINE float *take(float **at, long n) {
  float *taken = *at;
  *at += (n + 3) / 4 * 4;
  return taken;
}

/* What both passes need to score a tile: a worker's own memory. */
typedef struct {
  float *scores;      /* [QUERIES, KEYS] */
  float *zeros;       /* [16] */
  float *k;           /* [key_tiles, KEYS / columns, d, columns], times the scale */
  RowLookup *lookups; /* [lookup_count] */
} Scorer;

INLINE Scorer take_scorer(const AttentionTask *t, float **at, int packs_keys) {
  Scorer own;
  own.scores = take(at, QUERIES * KEYS);
  own.zeros = take(at, 16);
  own.k = take(at, packs_keys ? (long)t->key_tiles * KEYS * t->d : 0);
  own.lookups = (RowLookup *)take(at, t->lookup_count * (int)(sizeof(RowLookup) / sizeof(float)));
  return own;
}

INLINE void clear(float *at, long n) {
  for (long i = 0; i < n; i += 4) STORE(at + i, CONST(0.0f));
}

/* A range of a head's keys (or values) in panels of their transpose, times a factor. */
static void pack_range(const AttentionTask *t, const float *rows, Range keys, int width, float factor, float *to) {
  const float *from = rows + (long)keys.start * width;
  for (int first = 0; first < KEYS; first += t->columns)
    pack_columns(from + (long)first * keys.step * width, keys.step * width, width, keys.count - first, t->columns,
                 to + first * width);
  scale_floats(to, to, factor, KEYS * width);
}

/* Rows of a range, zeros behind their last column. */
INLINE void gather(const float *from, Range rows, int width, float *to) {
  for (int i = 0; i < rows.count; i++, to += padded(width)) {
    const float *row = from + (long)(rows.start + i * rows.step) * width;
    int j = 0;
    for (; j < width; j++) to[j] = row[j];
    for (; j < padded(width); j++) to[j] = 0.0f;
  }
}

/* rows x KEYS products of rows of queries with a range of packed keys. */
INLINE void tile_products(const AttentionTask *t, int rows, const float *a, int a_stride, const float *packed, int width,
                          const float *zeros, float *to) {
  for (int first = 0; first < KEYS; first += t->columns)
    products(t->columns, rows, t->tile_rows, a, a_stride, packed + first * width, t->columns, to + first, KEYS, width,
             zeros, 0);
}

/* The lookups of all modifiers, or their gradients, for one head of one batch row. */
static void place_lookups(const AttentionTask *t, RowLookup *to, int batch, int head, int gradients) {
  for (int m = 0; m < t->modifier_count; m++)
    for (int i = 0; i < t->modifiers[m].lookup_count; i++, to++) {
      Lookup of = (gradients ? t->modifiers[m].gradients : t->modifiers[m].lookups)[i];
      to->values = of.values + (long)batch * of.batch_stride + (long)head * of.head_stride;
      to->row_stride = of.row_stride;
      to->length = of.length;
    }
}

/* The modifiers one after the other, each within ±1e29 as in the reference, so that none gives an infinite score.
   `stages` [modifier_count, QUERIES, KEYS] takes what each was given. */
INLINE void modify_scores(const AttentionTask *t, const Scorer *own, Range queries, Range keys, int batch, int head,
                          float *stages) {
  const RowLookup *lookups = own->lookups;
  int offset = t->query_offsets[batch];
  f32x4 bound = CONST(1e29f);
  for (int m = 0; m < t->modifier_count; m++) {
    const Modifier *modifier = t->modifiers + m;
    if (stages)
      for (int i = 0; i < queries.count * KEYS; i += 4) STORE(stages + m * QUERIES * KEYS + i, LOAD(own->scores + i));
    modifier->modify(own->scores, own->scores, KEYS, queries.start + offset, queries.step, queries.count, keys.start,
                     keys.step, keys.count, head, offset + t->queries, t->key_length, offset,
                     modifier->attributes + batch * modifier->attribute_stride, modifier->tables, lookups);
    lookups += modifier->lookup_count;
    for (int i = 0; i < queries.count * KEYS; i += 4)
      STORE(own->scores + i, wasm_f32x4_max(wasm_f32x4_min(LOAD(own->scores + i), bound), wasm_f32x4_neg(bound)));
  }
}

/* Minus infinity where a bit is 0. */
NOINLINE void mask_scores(float *scores, int rows, const uint64_t *mask) {
  const f32x4 bit = wasm_i32x4_const(1, 2, 4, 8);
  f32x4 never = CONST(-__builtin_inff());
  for (int i = 0; i < rows; i++)
    for (int j = 0; j < KEYS; j += 4, scores += 4) {
      f32x4 allowed = wasm_i32x4_ne(wasm_v128_and(wasm_i32x4_splat((int)(mask[i] >> j)), bit), wasm_i32x4_const_splat(0));
      STORE(scores, wasm_v128_bitselect(LOAD(scores), never, allowed));
    }
}

/* The keys behind the last of a range. */
static void mask_tail(float *scores, int rows, int count) {
  for (int i = 0; i < rows; i++)
    for (int j = count; j < KEYS; j++) scores[i * KEYS + j] = -__builtin_inff();
}

/* Modifiers, and minus infinity wherever a pair is not allowed. */
INLINE void finish_scores(const AttentionTask *t, const Scorer *own, Range queries, Tile tile, Range keys, int batch,
                          int head, float *stages) {
  if (t->modifier_count > 0) modify_scores(t, own, queries, keys, batch, head, stages);
  if (tile.mask)
    mask_scores(own->scores, queries.count, tile.mask);
  else if (keys.count < KEYS)
    mask_tail(own->scores, queries.count, keys.count);
}

/* What dropout does to the probabilities of a tile, [QUERIES, KEYS]. A number is half of a counter's two words. */
NOINLINE void tile_dropout(const AttentionTask *t, int row, int row_step, int rows, int key, int key_step, float *to) {
  ThreefryKey k = threefry_key(t->dropout_key0, t->dropout_key1);
  v128_t limit = wasm_i32x4_splat(t->dropout_limit), one = wasm_i32x4_const_splat(1);
  f32x4 kept = SPLAT(t->dropout_kept);
  for (int i = 0; i < rows; i++) {
    uint64_t number = (uint64_t)(uint32_t)(row + i * row_step) * (uint32_t)t->key_length + (uint32_t)key;
    for (int j = 0; j < KEYS; j += 4, to += 4, number += 4 * (uint64_t)key_step) {
      uint64_t n0 = number, n1 = n0 + key_step, n2 = n1 + key_step, n3 = n2 + key_step;
      v128_t word0, word1;
      v128_t low = wasm_u32x4_make(n0 >> 1, n1 >> 1, n2 >> 1, n3 >> 1);
      v128_t high = wasm_u32x4_make(n0 >> 33, n1 >> 33, n2 >> 33, n3 >> 33);
      v128_t odd = wasm_i32x4_eq(wasm_v128_and(wasm_u32x4_make(n0, n1, n2, n3), one), one);
      threefry4(&k, low, high, &word0, &word1);
      STORE(to, dropout_factors(wasm_v128_bitselect(word1, word0, odd), limit, kept));
    }
  }
}

INLINE void multiply(const float *a, const float *b, float *to, int n) {
  for (int i = 0; i < n; i += 4) STORE(to + i, MUL(LOAD(a + i), LOAD(b + i)));
}

#endif
