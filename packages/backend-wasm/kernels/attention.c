/* Flash attention: softmax(scale q k^T where a pair is allowed) v, tile by tile, nothing of size queries x keys. */
#include "exp.h"
#include "panels.h"
#include "product.h"

/* The tile: its scores (6 KB) stay in the first cache. ../src/attention-plan.ts plans in the same sizes. */
enum { QUERIES = 24, KEYS = 64 };

/* Fewer rows than this are scored key by key, since packing the keys would cost more than the product. */
enum { PACKED_FROM = 4 };

/* Positions start + step i, i < count. */
typedef struct {
  int start, step, count;
} Range;

/* A tile that allows a pair. `mask` is 0 where it allows all of them, else a word of 64 bits for each query. */
typedef struct {
  int keys; /* number of the range of keys */
  const uint64_t *mask;
} Tile;

/* What a head of a batch row attends to; positions of queries count from the call's first row. */
typedef struct {
  int query_tiles, key_tiles;
  const Range *queries;
  const Range *keys;
  const int *first; /* [query_tiles + 1]: where the tiles of each range of queries begin */
  const Tile *tiles;
} Plan;

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

typedef struct {
  Modify modify;
  const Lookup *lookups;
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
  const Plan *const *plans;
  int plan_batch_stride, plan_head_stride; /* 0 where batch rows or heads are alike */
  int batch, heads, key_heads, queries, capacity, d, e;
  int key_tiles; /* the most that a plan has */
  float scale;
  int columns, tile_rows; /* the tile of products, measured at start */
  int key_length;
  const int *query_offsets; /* [batch]: position of the first query */
  const Modifier *modifiers;
  int modifier_count, lookup_count; /* lookups of all modifiers together */
} AttentionTask;

/* A worker's own memory, one part after the other. */
typedef struct {
  float *scores; /* [QUERIES, KEYS] */
  float *sums;   /* [QUERIES, e to a multiple of 16] */
  float *most, *total, *shrink; /* [QUERIES]: greatest score so far, sum of exponentials, factor for earlier sums */
  float *zeros;  /* [16] */
  float *query;  /* [d to a multiple of 4]: one scaled query */
  float *k;      /* [key_tiles, KEYS / columns, d, columns], scaled */
  float *v;      /* [capacity, e to a multiple of 16], where e is none */
  RowLookup *lookups; /* [lookup_count] */
} Own;

INLINE int padded(int width) { return up_to_multiple(width, 16); }

static int own_floats(const AttentionTask *t) {
  int v = t->e % t->columns ? t->capacity * padded(t->e) : 0;
  int k = t->queries >= PACKED_FROM ? t->key_tiles * KEYS * t->d : 0;
  int lookups = t->lookup_count * (int)(sizeof(RowLookup) / sizeof(float));
  return QUERIES * (KEYS + padded(t->e) + 3) + 16 + padded(t->d) + k + v + lookups;
}

INLINE Own carve(const AttentionTask *t, float *from) {
  Own own;
  own.scores = from;
  own.sums = own.scores + QUERIES * KEYS;
  own.zeros = own.sums + QUERIES * padded(t->e);
  own.query = own.zeros + 16;
  own.k = own.query + padded(t->d);
  own.v = own.k + (t->queries >= PACKED_FROM ? t->key_tiles * KEYS * t->d : 0);
  own.most = own.v + (t->e % t->columns ? t->capacity * padded(t->e) : 0);
  own.total = own.most + QUERIES;
  own.shrink = own.total + QUERIES;
  own.lookups = (RowLookup *)(own.shrink + QUERIES);
  return own;
}

/* The keys of a head in panels, range by range, times the scale. */
static void pack_keys(const AttentionTask *t, const Plan *plan, const float *k, float *to) {
  f32x4 scale = SPLAT(t->scale);
  for (int r = 0; r < plan->key_tiles; r++, to += KEYS * t->d) {
    Range keys = plan->keys[r];
    const float *from = k + (long)keys.start * t->d;
    for (int first = 0; first < KEYS; first += t->columns)
      pack_columns(from + (long)first * keys.step * t->d, keys.step * t->d, t->d, keys.count - first, t->columns,
                   to + first * t->d);
    for (int i = 0; i < KEYS * t->d; i += 4) STORE(to + i, MUL(LOAD(to + i), scale));
  }
}

/* The values of a head with rows of a whole number of vectors. */
static void pad_values(const AttentionTask *t, const float *v, float *to) {
  for (int i = 0; i < t->capacity; i++, v += t->e, to += padded(t->e)) {
    int j = 0;
    for (; j < t->e; j++) to[j] = v[j];
    for (; j < padded(t->e); j++) to[j] = 0.0f;
  }
}

/* Scores of one query with the keys of a range, four keys at a time; those behind the last are 0. */
NOINLINE void score_row(const float *query, const float *k, int stride, int count, int d, float *scores) {
  for (int j = 0; j < KEYS; j += 4) {
    f32x4 a = CONST(0.0f), b = a, c = a, e = a;
    if (j < count) {
      const float *k0 = k + (long)j * stride;
      const float *k1 = k + (long)least(j + 1, count - 1) * stride;
      const float *k2 = k + (long)least(j + 2, count - 1) * stride;
      const float *k3 = k + (long)least(j + 3, count - 1) * stride;
      int i = 0;
      NO_UNROLL for (; i + 4 <= d; i += 4) {
        f32x4 x = LOAD(query + i);
        a = FMA(x, LOAD(k0 + i), a);
        b = FMA(x, LOAD(k1 + i), b);
        c = FMA(x, LOAD(k2 + i), c);
        e = FMA(x, LOAD(k3 + i), e);
      }
      if (i < d) {
        f32x4 x = load_first(query + i, d - i);
        a = FMA(x, load_first(k0 + i, d - i), a);
        b = FMA(x, load_first(k1 + i, d - i), b);
        c = FMA(x, load_first(k2 + i, d - i), c);
        e = FMA(x, load_first(k3 + i, d - i), e);
      }
    }
    f32x4 c0, c1, c2, c3;
    turn4(a, b, c, e, &c0, &c1, &c2, &c3);
    STORE(scores + j, ADD(ADD(c0, c1), ADD(c2, c3)));
  }
}

/* The lookups of all modifiers for one head of one batch row. */
static void place_lookups(const AttentionTask *t, RowLookup *to, int batch, int head) {
  for (int m = 0; m < t->modifier_count; m++)
    for (int i = 0; i < t->modifiers[m].lookup_count; i++, to++) {
      Lookup of = t->modifiers[m].lookups[i];
      to->values = of.values + (long)batch * of.batch_stride + (long)head * of.head_stride;
      to->row_stride = of.row_stride;
      to->length = of.length;
    }
}

/* The modifiers one after the other, each within ±1e29 as in the reference, so that none gives an infinite score. */
static void modify_scores(const AttentionTask *t, const Own *own, Range queries, Range keys, int batch, int head) {
  const RowLookup *lookups = own->lookups;
  int offset = t->query_offsets[batch];
  f32x4 bound = CONST(1e29f);
  for (int m = 0; m < t->modifier_count; m++) {
    const Modifier *modifier = t->modifiers + m;
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

/* Online softmax, https://arxiv.org/abs/1805.02867: scores become exponentials against the greatest score so far. */
NOINLINE void exponentials(float *scores, int rows, float *most, float *total, float *shrink) {
  ExpConstants c = exp_constants();
  for (int i = 0; i < rows; i++, scores += KEYS) {
    f32x4 m0 = LOAD(scores), m1 = LOAD(scores + 4);
    for (int j = 8; j < KEYS; j += 8) {
      m0 = wasm_f32x4_max(m0, LOAD(scores + j));
      m1 = wasm_f32x4_max(m1, LOAD(scores + j + 4));
    }
    float here = max_of(wasm_f32x4_max(m0, m1));
    float now = here > most[i] || here != here ? here : most[i];
    f32x4 top = SPLAT(now), s0 = CONST(0.0f), s1 = s0;
    NO_UNROLL for (int j = 0; j < KEYS; j += 8) {
      f32x4 e0 = exp4(SUB(LOAD(scores + j), top), &c), e1 = exp4(SUB(LOAD(scores + j + 4), top), &c);
      STORE(scores + j, e0);
      STORE(scores + j + 4, e1);
      s0 = ADD(s0, e0);
      s1 = ADD(s1, e1);
    }
    float factor = wasm_f32x4_extract_lane(exp4(SPLAT(most[i] - now), &c), 0);
    shrink[i] = factor;
    total[i] = total[i] * factor + sum_of(ADD(s0, s1));
    most[i] = now;
  }
}

/* sums = shrink sums + exponentials v. */
static void add_values(const AttentionTask *t, const Own *own, int rows, const float *v, int stride, int count) {
  int width = padded(t->e);
  for (int i = 0; i < rows; i++) {
    if (own->shrink[i] == 1.0f) continue;
    f32x4 factor = SPLAT(own->shrink[i]);
    for (int j = 0; j < width; j += 4) STORE(own->sums + i * width + j, MUL(LOAD(own->sums + i * width + j), factor));
  }
  for (int j = 0; j < t->e; j += t->columns)
    products(t->columns, rows, t->tile_rows, own->scores, KEYS, v + j, stride, own->sums + j, width, count,
             own->sums + j, width);
}

/* One range of queries of one head. */
static void attend(const AttentionTask *t, const Plan *plan, const Own *own, int number, int batch, int head,
                   const float *q, const float *k, const float *v, float *o) {
  Range queries = plan->queries[number];
  int rows = queries.count, width = padded(t->e);
  int v_stride = t->e % t->columns ? width : t->e;
  for (int i = 0; i < rows; i++) {
    /* Below any score, and finite, so that a row that sees no key divides nothing by nothing. */
    own->most[i] = -1e30f;
    own->total[i] = 0.0f;
  }
  for (int i = 0; i < rows * width; i += 4) STORE(own->sums + i, CONST(0.0f));
  q += (long)queries.start * t->d;
  for (int at = plan->first[number]; at < plan->first[number + 1]; at++) {
    Tile tile = plan->tiles[at];
    Range keys = plan->keys[tile.keys];
    if (t->queries < PACKED_FROM)
      for (int i = 0; i < rows; i++) {
        for (int j = 0; j < t->d; j++) own->query[j] = q[(long)i * queries.step * t->d + j] * t->scale;
        score_row(own->query, k + (long)keys.start * t->d, keys.step * t->d, keys.count, t->d, own->scores + i * KEYS);
      }
    else
      for (int first = 0; first < KEYS; first += t->columns)
        products(t->columns, rows, t->tile_rows, q, queries.step * t->d,
                 own->k + ((long)tile.keys * KEYS + first) * t->d, t->columns, own->scores + first, KEYS, t->d,
                 own->zeros, 0);
    if (t->modifier_count > 0) modify_scores(t, own, queries, keys, batch, head);
    if (tile.mask)
      mask_scores(own->scores, rows, tile.mask);
    else if (keys.count < KEYS)
      mask_tail(own->scores, rows, keys.count);
    exponentials(own->scores, rows, own->most, own->total, own->shrink);
    add_values(t, own, rows, v + (long)keys.start * v_stride, keys.step * v_stride, keys.count);
  }
  for (int i = 0; i < rows; i++) {
    float *to = o + (long)(queries.start + i * queries.step) * t->e;
    float factor = own->total[i] == 0.0f ? 0.0f : 1.0f / own->total[i];
    for (int j = 0; j < t->e; j++) to[j] = own->sums[i * width + j] * factor;
  }
}

/* A unit is a head of a batch row. */
EXPORT(attention_units) int attention_units(const AttentionTask *t) { return t->batch * t->heads; }
EXPORT(attention_scratch) int attention_scratch(const AttentionTask *t) { return own_floats(t) * (int)sizeof(float); }

EXPORT(attention) void attention(const AttentionTask *t, int begin, int end, float *scratch) {
  Own own = carve(t, scratch);
  for (int i = 0; i < 16; i++) own.zeros[i] = 0.0f;
  const Plan *packed_plan = 0;
  int packed = -1;
  for (int unit = begin; unit < end; unit++) {
    int batch = unit / t->heads, head = unit % t->heads;
    const Plan *plan = t->plans[batch * t->plan_batch_stride + head * t->plan_head_stride];
    int key_head = batch * t->key_heads + head * t->key_heads / t->heads;
    const float *k = t->k + (long)key_head * t->capacity * t->d;
    const float *v = t->v + (long)key_head * t->capacity * t->e;
    if (t->queries >= PACKED_FROM && (packed != key_head || packed_plan != plan)) pack_keys(t, plan, k, own.k);
    if (t->e % t->columns) {
      if (packed != key_head) pad_values(t, v, own.v);
      v = own.v;
    }
    packed = key_head;
    packed_plan = plan;
    place_lookups(t, own.lookups, batch, head);
    for (int i = 0; i < plan->query_tiles; i++)
      attend(t, plan, &own, i, batch, head, t->q + (long)unit * t->queries * t->d, k, v, t->o + (long)unit * t->queries * t->e);
  }
}
