/* Flash attention: softmax(scale q k^T where a pair is allowed) v, tile by tile, nothing of size queries x keys. */
#include "attention.h"

/* Ranges of queries of a unit: few, so that threads can share a head, and as many as make what each unit packs for
   itself cheap: 1 to 3 % of the time where a worker does one unit at a time, 4 to 8 % with 2 ranges. */
enum { UNIT_TILES = 8 };

/* A worker's own memory, beside what scores a tile. */
typedef struct {
  Scorer scorer;
  float *sums; /* [QUERIES, e to a multiple of 16] */
  float *most, *total, *shrink; /* [QUERIES]: greatest score so far, sum of exponentials, factor for earlier sums */
  float *query; /* [d]: one scaled query */
  float *v;     /* [key_tiles, KEYS, e to a multiple of 16], where they are padded */
  int *packed;  /* [key_tiles]: whether a range of keys is in scorer.k and v */
  float *dropout; /* [QUERIES, KEYS] */
} Own;

/* Whether values are copied into rows of whole tiles; those of a few queries are read where they lie. */
INLINE int pads_values(const AttentionTask *t) { return t->packs_keys && t->e % t->columns; }

INLINE Own take_own(const AttentionTask *t, float **at) {
  Own own;
  own.scorer = take_scorer(t, at, t->packs_keys);
  own.sums = take(at, QUERIES * padded(t->e));
  own.most = take(at, QUERIES);
  own.total = take(at, QUERIES);
  own.shrink = take(at, QUERIES);
  own.query = take(at, t->d);
  own.v = take(at, pads_values(t) ? (long)t->key_tiles * KEYS * padded(t->e) : 0);
  own.packed = (int *)take(at, t->key_tiles);
  own.dropout = take(at, t->dropout_limit ? QUERIES * KEYS : 0);
  return own;
}

/* Packs a range of keys and their values where that is needed and not done yet: a window needs few of a head's. */
INLINE void pack_once(const AttentionTask *t, const Own *own, int number, Range keys, const float *k, const float *v) {
  if (own->packed[number]) return;
  own->packed[number] = 1;
  long first = (long)number * KEYS;
  if (t->packs_keys) pack_range(t, k, keys, t->d, t->scale, own->scorer.k + first * t->d);
  if (pads_values(t)) gather(v, keys, t->e, own->v + first * padded(t->e));
}

/* Scores of one query with the keys of a range; those behind the last are 0. Keys are read one after the other, as they
   lie: in steps of four rows, and values down the columns of a tile, a cache came from memory at a third of the speed. */
NOINLINE void score_row(const float *query, const float *k, int stride, int count, int d, float *scores) {
  for (int j = 0; j < KEYS; j += 4) {
    f32x4 sum[4];
    UNROLL for (int r = 0; r < 4; r++) sum[r] = CONST(0.0f);
    UNROLL for (int r = 0; r < 4; r++) {
      if (j + r >= count) break;
      const float *row = k + (long)(j + r) * stride;
      f32x4 s0 = CONST(0.0f), s1 = s0, s2 = s0, s3 = s0;
      int i = 0;
      NO_UNROLL for (; i + 16 <= d; i += 16) {
        s0 = FMA(LOAD(query + i), LOAD(row + i), s0);
        s1 = FMA(LOAD(query + i + 4), LOAD(row + i + 4), s1);
        s2 = FMA(LOAD(query + i + 8), LOAD(row + i + 8), s2);
        s3 = FMA(LOAD(query + i + 12), LOAD(row + i + 12), s3);
      }
      for (; i < d; i += 4) {
        int n = d - i;
        s0 = FMA(n < 4 ? load_first(query + i, n) : LOAD(query + i), n < 4 ? load_first(row + i, n) : LOAD(row + i), s0);
      }
      sum[r] = ADD(ADD(s0, s1), ADD(s2, s3));
    }
    f32x4 c0, c1, c2, c3;
    turn4(sum[0], sum[1], sum[2], sum[3], &c0, &c1, &c2, &c3);
    STORE(scores + j, ADD(ADD(c0, c1), ADD(c2, c3)));
  }
}

/* Online softmax, https://arxiv.org/abs/1805.02867, in three passes over a tile: `most` is the greatest score of each row
   so far, `shrink` what sums against the greatest before it are to be multiplied by. Four rows at a time, so that lanes
   are joined in vectors; there is room for those behind the last. NaN makes its row so by its exponential. */
NOINLINE void update_most(const float *scores, int rows, float *most, float *shrink) {
  ExpConstants c = exp_constants();
  for (int i = 0; i < rows; i += 4, scores += 4 * KEYS) {
    f32x4 m[4], c0, c1, c2, c3, before = LOAD(most + i);
    UNROLL for (int r = 0; r < 4; r++) {
      m[r] = LOAD(scores + r * KEYS);
      f32x4 other = LOAD(scores + r * KEYS + 4);
      NO_UNROLL for (int j = 8; j < KEYS; j += 8) {
        m[r] = AT_LEAST(LOAD(scores + r * KEYS + j), m[r]);
        other = AT_LEAST(LOAD(scores + r * KEYS + j + 4), other);
      }
      m[r] = AT_LEAST(m[r], other);
    }
    turn4(m[0], m[1], m[2], m[3], &c0, &c1, &c2, &c3);
    f32x4 now = AT_LEAST(AT_LEAST(AT_LEAST(c0, c1), AT_LEAST(c2, c3)), before);
    STORE(most + i, now);
    STORE(shrink + i, exp4(SUB(before, now), &c));
  }
}

NOINLINE void exponentials(float *scores, int rows, const float *most) {
  ExpConstants c = exp_constants();
  for (; rows > 0; rows--, most++) {
    f32x4 top = LOAD_SPLAT(most);
    NO_UNROLL for (int j = 0; j < KEYS; j += 8, scores += 8) {
      f32x4 s0 = SUB(LOAD(scores), top), s1 = SUB(LOAD(scores + 4), top);
      BOTH_LOADED;
      STORE(scores, exp4(s0, &c));
      STORE(scores + 4, exp4(s1, &c));
    }
  }
}

NOINLINE void update_total(const float *exponentials, int rows, const float *shrink, float *total) {
  for (int i = 0; i < rows; i += 4, exponentials += 4 * KEYS) {
    f32x4 s[4], c0, c1, c2, c3;
    UNROLL for (int r = 0; r < 4; r++) {
      s[r] = LOAD(exponentials + r * KEYS);
      f32x4 other = LOAD(exponentials + r * KEYS + 4);
      NO_UNROLL for (int j = 8; j < KEYS; j += 8) {
        s[r] = ADD(s[r], LOAD(exponentials + r * KEYS + j));
        other = ADD(other, LOAD(exponentials + r * KEYS + j + 4));
      }
      s[r] = ADD(s[r], other);
    }
    turn4(s[0], s[1], s[2], s[3], &c0, &c1, &c2, &c3);
    STORE(total + i, ADD(MUL(LOAD(total + i), LOAD(shrink + i)), ADD(ADD(c0, c1), ADD(c2, c3))));
  }
}

/* sums += exponentials of one query times the values of a range, row by row, like the scores. */
NOINLINE void add_row(const float *exponentials, const float *v, int stride, int count, int e, float *sums) {
  for (int j = 0; j < count; j++, v += stride) {
    f32x4 p = LOAD_SPLAT(exponentials + j);
    int i = 0;
    NO_UNROLL for (; i + 16 <= e; i += 16)
      UNROLL for (int c = 0; c < 16; c += 4) STORE(sums + i + c, FMA(p, LOAD(v + i + c), LOAD(sums + i + c)));
    for (; i + 4 <= e; i += 4) STORE(sums + i, FMA(p, LOAD(v + i), LOAD(sums + i)));
    for (; i < e; i++) sums[i] += exponentials[j] * v[i];
  }
}

/* sums = shrink sums + exponentials v. */
INLINE void add_values(const AttentionTask *t, const Own *own, int rows, const float *v, int stride, int count) {
  int width = padded(t->e);
  for (int i = 0; i < rows; i++) {
    float *sums = own->sums + i * width;
    if (own->shrink[i] != 1.0f) scale_floats(sums, sums, own->shrink[i], width);
  }
  if (!t->packs_keys) {
    for (int i = 0; i < rows; i++)
      add_row(own->scorer.scores + i * KEYS, v, stride, count, t->e, own->sums + i * width);
    return;
  }
  for (int j = 0; j < t->e; j += t->columns)
    products(t->columns, rows, t->tile_rows, own->scorer.scores, KEYS, v + j, stride, own->sums + j, width, count,
             own->sums + j, width);
}

/* One range of queries of one part of a head. A later part goes on from what the earlier ones left in o and stats. */
INLINE void attend(const AttentionTask *t, const Plan *plan, int part, const Own *own, int number, int batch,
                   int head) {
  Range queries = plan->queries[number];
  int rows = queries.count, width = padded(t->e), pads = pads_values(t);
  long row = ((long)batch * t->heads + head) * t->queries + queries.start;
  long key_row = ((long)batch * t->key_heads + head * t->key_heads / t->heads) * t->capacity;
  const float *q = t->q + row * t->d, *k = t->k + key_row * t->d, *v = t->v + key_row * t->e;
  float *o = t->o + row * t->e, *stats = t->stats + 2 * row;
  for (int i = 0; i < rows; i++) {
    /* Below any score, and finite, so that a row that sees no key divides nothing by nothing. */
    own->most[i] = -1e30f;
    own->total[i] = 0.0f;
  }
  clear(own->sums, rows * width);
  for (int i = 0; part > 0 && i < rows; i++) {
    long at = (long)i * queries.step;
    if (stats[2 * at + 1] == 0.0f) continue;
    own->most[i] = stats[2 * at];
    own->total[i] = 1.0f / stats[2 * at + 1];
    scale_floats(own->sums + i * width, o + at * t->e, own->total[i], t->e);
  }
  float *scores = own->scorer.scores;
  for (int at = plan->first[number]; at < plan->first[number + 1]; at++) {
    Tile tile = plan->tiles[at];
    Range keys = plan->keys[tile.keys];
    long first = (long)tile.keys * KEYS;
    pack_once(t, own, tile.keys, keys, k, v);
    if (t->packs_keys)
      tile_products(t, rows, q, queries.step * t->d, own->scorer.k + first * t->d, t->d, own->scorer.zeros, scores);
    else
      for (int i = 0; i < rows; i++) {
        for (int j = 0; j < t->d; j++) own->query[j] = q[(long)i * queries.step * t->d + j] * t->scale;
        score_row(own->query, k + (long)keys.start * t->d, keys.step * t->d, keys.count, t->d, scores + i * KEYS);
      }
    finish_scores(t, &own->scorer, queries, tile, keys, batch, head, 0);
    update_most(scores, rows, own->most, own->shrink);
    exponentials(scores, rows, own->most);
    update_total(scores, rows, own->shrink, own->total);
    /* After the sums: what is dropped counts in them. */
    if (t->dropout_limit) {
      tile_dropout(t, (int)row, queries.step, rows, keys.start, keys.step, own->dropout);
      multiply(scores, own->dropout, scores, rows * KEYS);
    }
    add_values(t, own, rows, pads ? own->v + first * width : v + (long)keys.start * t->e,
               pads ? width : keys.step * t->e, keys.count);
  }
  for (int i = 0; i < rows; i++) {
    long at = (long)i * queries.step;
    float factor = own->total[i] == 0.0f ? 0.0f : 1.0f / own->total[i];
    scale_floats(o + at * t->e, own->sums + i * width, factor, t->e);
    if (!t->stats) continue;
    stats[2 * at] = own->most[i];
    stats[2 * at + 1] = factor;
  }
}

/* A unit is a few ranges of queries of a head, or all of a head of several parts, which go on from each other. */
INLINE int units_of_head(const AttentionTask *t) { return (t->query_tiles + UNIT_TILES - 1) / UNIT_TILES; }

EXPORT(attention_units) int attention_units(const AttentionTask *t) { return t->batch * t->heads * units_of_head(t); }
EXPORT(attention_scratch) int attention_scratch(const AttentionTask *t) {
  float *end = 0;
  take_own(t, &end);
  return (int)end;
}

EXPORT(attention) void attention(const AttentionTask *t, int begin, int end, float *scratch) {
  Own own = take_own(t, &scratch);
  clear(own.scorer.zeros, 16);
  const Plan *packed_plan = 0;
  int packed_head = -1, split = units_of_head(t);
  for (int unit = begin; unit < end; unit++) {
    int batch = unit / split / t->heads, head = unit / split % t->heads, number = unit % split;
    const HeadPlan *plans = t->plans[batch * t->plan_batch_stride + head * t->plan_head_stride];
    int is_whole = plans->part_count > 1;
    if (is_whole && number > 0) continue;
    int key_head = batch * t->key_heads + head * t->key_heads / t->heads;
    place_lookups(t, own.scorer.lookups, batch, head, 0);
    for (int part = 0; part < plans->part_count; part++) {
      const Plan *plan = plans->parts + part;
      if (packed_head != key_head || packed_plan != plan)
        for (int i = 0; i < plan->key_tiles; i++) own.packed[i] = 0;
      packed_head = key_head;
      packed_plan = plan;
      int first = number * UNIT_TILES, last = is_whole ? plan->query_tiles : least(first + UNIT_TILES, plan->query_tiles);
      for (int i = first; i < last; i++) attend(t, plan, part, &own, i, batch, head);
    }
  }
}
