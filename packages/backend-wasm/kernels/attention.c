/* Flash attention: softmax(scale q k^T where a pair is allowed) v, tile by tile, nothing of size queries x keys. */
#include "attention.h"

/* A worker's own memory, beside what scores a tile. */
typedef struct {
  Scorer scorer;
  float *sums; /* [QUERIES, e to a multiple of 16] */
  float *most, *total, *shrink; /* [QUERIES]: greatest score so far, sum of exponentials, factor for earlier sums */
  float *query; /* [d]: one scaled query */
  float *v;     /* [capacity, e to a multiple of 16], where e is none */
  float *dropout; /* [QUERIES, KEYS] */
} Own;

INLINE Own take_own(const AttentionTask *t, float **at) {
  Own own;
  own.scorer = take_scorer(t, at, t->packs_keys);
  own.sums = take(at, QUERIES * padded(t->e));
  own.most = take(at, QUERIES);
  own.total = take(at, QUERIES);
  own.shrink = take(at, QUERIES);
  own.query = take(at, t->d);
  own.v = take(at, t->e % t->columns ? (long)t->capacity * padded(t->e) : 0);
  own.dropout = take(at, t->dropout_limit ? QUERIES * KEYS : 0);
  return own;
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
INLINE void add_values(const AttentionTask *t, const Own *own, int rows, const float *v, int stride, int count) {
  int width = padded(t->e);
  for (int i = 0; i < rows; i++) {
    if (own->shrink[i] == 1.0f) continue;
    f32x4 factor = SPLAT(own->shrink[i]);
    for (int j = 0; j < width; j += 4) STORE(own->sums + i * width + j, MUL(LOAD(own->sums + i * width + j), factor));
  }
  for (int j = 0; j < t->e; j += t->columns)
    products(t->columns, rows, t->tile_rows, own->scorer.scores, KEYS, v + j, stride, own->sums + j, width, count,
             own->sums + j, width);
}

/* One range of queries of one part of a head. A later part goes on from what the earlier ones left in o and stats. */
INLINE void attend(const AttentionTask *t, const Plan *plan, int part, const Own *own, int number, int batch, int head,
                   const float *q, const float *k, const float *v, float *o, float *stats) {
  Range queries = plan->queries[number];
  int rows = queries.count, width = padded(t->e);
  int v_stride = t->e % t->columns ? width : t->e;
  for (int i = 0; i < rows; i++) {
    /* Below any score, and finite, so that a row that sees no key divides nothing by nothing. */
    own->most[i] = -1e30f;
    own->total[i] = 0.0f;
  }
  clear(own->sums, rows * width);
  for (int i = 0; part > 0 && i < rows; i++) {
    int row = queries.start + i * queries.step;
    if (stats[2 * row + 1] == 0.0f) continue;
    own->most[i] = stats[2 * row];
    own->total[i] = 1.0f / stats[2 * row + 1];
    for (int j = 0; j < t->e; j++) own->sums[i * width + j] = o[(long)row * t->e + j] * own->total[i];
  }
  q += (long)queries.start * t->d;
  float *scores = own->scorer.scores;
  for (int at = plan->first[number]; at < plan->first[number + 1]; at++) {
    Tile tile = plan->tiles[at];
    Range keys = plan->keys[tile.keys];
    if (t->packs_keys)
      tile_products(t, rows, q, queries.step * t->d, own->scorer.k + (long)tile.keys * KEYS * t->d, t->d,
                    own->scorer.zeros, scores);
    else
      for (int i = 0; i < rows; i++) {
        for (int j = 0; j < t->d; j++) own->query[j] = q[(long)i * queries.step * t->d + j] * t->scale;
        score_row(own->query, k + (long)keys.start * t->d, keys.step * t->d, keys.count, t->d, scores + i * KEYS);
      }
    finish_scores(t, &own->scorer, queries, tile, keys, batch, head, 0);
    exponentials(scores, rows, own->most, own->total, own->shrink);
    /* After the sums: what is dropped counts in them. */
    if (t->dropout_limit) {
      tile_dropout(t, (batch * t->heads + head) * t->queries + queries.start, queries.step, rows, keys.start, keys.step,
                   own->dropout);
      multiply(scores, own->dropout, scores, rows * KEYS);
    }
    add_values(t, own, rows, v + (long)keys.start * v_stride, keys.step * v_stride, keys.count);
  }
  for (int i = 0; i < rows; i++) {
    int row = queries.start + i * queries.step;
    float *to = o + (long)row * t->e;
    float factor = own->total[i] == 0.0f ? 0.0f : 1.0f / own->total[i];
    for (int j = 0; j < t->e; j++) to[j] = own->sums[i * width + j] * factor;
    stats[2 * row] = own->most[i];
    stats[2 * row + 1] = factor;
  }
}

/* A unit is a head of a batch row. */
EXPORT(attention_units) int attention_units(const AttentionTask *t) { return t->batch * t->heads; }
EXPORT(attention_scratch) int attention_scratch(const AttentionTask *t) {
  float *end = 0;
  take_own(t, &end);
  return (int)end;
}

EXPORT(attention) void attention(const AttentionTask *t, int begin, int end, float *scratch) {
  Own own = take_own(t, &scratch);
  clear(own.scorer.zeros, 16);
  const Plan *packed_plan = 0;
  int packed = -1;
  for (int unit = begin; unit < end; unit++) {
    int batch = unit / t->heads, head = unit % t->heads;
    const HeadPlan *plans = t->plans[batch * t->plan_batch_stride + head * t->plan_head_stride];
    int key_head = batch * t->key_heads + head * t->key_heads / t->heads;
    long row = (long)unit * t->queries;
    const float *k = t->k + (long)key_head * t->capacity * t->d;
    const float *v = t->v + (long)key_head * t->capacity * t->e;
    if (t->e % t->columns) {
      if (packed != key_head) pad_values(t, v, own.v);
      v = own.v;
    }
    place_lookups(t, own.scorer.lookups, batch, head, 0);
    for (int part = 0; part < plans->part_count; part++) {
      const Plan *plan = plans->parts + part;
      if (t->packs_keys && (packed != key_head || packed_plan != plan))
        pack_head(t, plan, k, t->d, t->scale, own.scorer.k);
      packed = key_head;
      packed_plan = plan;
      for (int i = 0; i < plan->query_tiles; i++)
        attend(t, plan, part, &own, i, batch, head, t->q + row * t->d, k, v, t->o + row * t->e,
               t->stats + 2 * row);
    }
  }
}
