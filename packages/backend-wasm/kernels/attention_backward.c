/* Gradients of attention, https://arxiv.org/abs/2205.14135 appendix B: the probabilities of a tile are made again. */
#include "attention.h"

typedef struct {
  AttentionTask forward; /* o and stats as the forward pass left them */
  const float *dy;       /* [batch, heads, queries, e] */
  float *dq, *dk, *dv;   /* of the shapes of q, k, v; 0 when only gradients of modifiers' tensors are wanted */
} BackwardTask;

/* A worker's own memory, beside what scores a tile. Ranges of keys come one after the other, KEYS rows each. */
typedef struct {
  Scorer scorer;
  float *slopes;      /* [QUERIES, KEYS]: gradient of the scores */
  float *turned;      /* [KEYS, QUERIES]: a tile's transpose */
  float *stages;      /* [modifier_count, QUERIES, KEYS]: what each modifier was given */
  float *derivative;  /* [QUERIES, KEYS] */
  float *dropout, *kept; /* [QUERIES, KEYS]: its factors, and the probabilities times them */
  RowLookup *gradients; /* [lookup_count] */
  float *q, *dy;      /* [QUERIES, d or e to a multiple of 16] */
  float *dq;          /* [QUERIES, d to a multiple of 16] */
  float *delta;       /* [QUERIES]: dy times o */
  float *k;           /* [key_tiles, KEYS, d to a multiple of 16] */
  float *v;           /* [key_tiles, KEYS / columns, e, columns] */
  float *dk, *dv;     /* [key_tiles, KEYS, d or e to a multiple of 16] */
} BackwardOwn;

INLINE BackwardOwn take_backward(const AttentionTask *t, float **at) {
  BackwardOwn own;
  long keys = (long)t->key_tiles * KEYS;
  own.scorer = take_scorer(t, at, 1);
  own.slopes = take(at, QUERIES * KEYS);
  own.turned = take(at, QUERIES * KEYS);
  own.stages = take(at, (long)t->modifier_count * QUERIES * KEYS);
  own.derivative = take(at, QUERIES * KEYS);
  own.dropout = take(at, t->dropout_limit ? QUERIES * KEYS : 0);
  own.kept = take(at, t->dropout_limit ? QUERIES * KEYS : 0);
  own.gradients = (RowLookup *)take(at, t->lookup_count * (int)(sizeof(RowLookup) / sizeof(float)));
  own.q = take(at, QUERIES * padded(t->d));
  own.dy = take(at, QUERIES * padded(t->e));
  own.dq = take(at, QUERIES * padded(t->d));
  own.delta = take(at, QUERIES);
  own.k = take(at, keys * padded(t->d));
  own.v = take(at, keys * t->e);
  own.dk = take(at, keys * padded(t->d));
  own.dv = take(at, keys * padded(t->e));
  return own;
}

INLINE void add_rows(const float *from, Range rows, int width, float factor, float *to) {
  for (int i = 0; i < rows.count; i++, from += padded(width)) {
    float *row = to + (long)(rows.start + i * rows.step) * width;
    for (int j = 0; j < width; j++) row[j] += from[j] * factor;
  }
}

/* Any number of floats, unlike `clear`. */
static void zero(float *at, long n) {
  for (; n > 0; n--) *at++ = 0.0f;
}

/* Scores to probabilities, by the stats of each row. */
NOINLINE void probabilities(float *scores, int rows, const float *stats, int stats_stride) {
  ExpConstants c = exp_constants();
  for (int i = 0; i < rows; i++, scores += KEYS, stats += stats_stride) {
    f32x4 most = SPLAT(stats[0]), factor = SPLAT(stats[1]);
    NO_UNROLL for (int j = 0; j < KEYS; j += 8) {
      f32x4 s0 = SUB(LOAD(scores + j), most), s1 = SUB(LOAD(scores + j + 4), most);
      BOTH_LOADED;
      STORE(scores + j, MUL(exp4(s0, &c), factor));
      STORE(scores + j + 4, MUL(exp4(s1, &c), factor));
    }
  }
}

/* slopes = p (slopes - delta): from the gradient of the probabilities to that of the scores. */
NOINLINE void score_slopes(const float *p, float *slopes, int rows, const float *delta) {
  for (int i = 0; i < rows; i++) {
    f32x4 d = SPLAT(delta[i]);
    NO_UNROLL for (int j = 0; j < KEYS; j += 8, p += 8, slopes += 8) {
      f32x4 s0 = MUL(LOAD(p), SUB(LOAD(slopes), d)), s1 = MUL(LOAD(p + 4), SUB(LOAD(slopes + 4), d));
      BOTH_LOADED;
      STORE(slopes, s0);
      STORE(slopes + 4, s1);
    }
  }
}

/* [rows, KEYS] to [KEYS, QUERIES]; the columns behind the rows are left. */
static void turn(const float *from, int rows, float *to) {
  int i = 0;
  for (; i + 4 <= rows; i += 4)
    for (int j = 0; j < KEYS; j += 4) {
      const float *tile = from + i * KEYS + j;
      f32x4 c0, c1, c2, c3;
      turn4(LOAD(tile), LOAD(tile + KEYS), LOAD(tile + 2 * KEYS), LOAD(tile + 3 * KEYS), &c0, &c1, &c2, &c3);
      STORE(to + j * QUERIES + i, c0);
      STORE(to + (j + 1) * QUERIES + i, c1);
      STORE(to + (j + 2) * QUERIES + i, c2);
      STORE(to + (j + 3) * QUERIES + i, c3);
    }
  for (; i < rows; i++)
    for (int j = 0; j < KEYS; j++) to[j * QUERIES + i] = from[i * KEYS + j];
}

/* to [KEYS, width] += tile^T rows [count, width]. */
INLINE void add_turned(const AttentionTask *t, const BackwardOwn *own, const float *tile, int count, const float *rows,
                       int width, float *to) {
  turn(tile, count, own->turned);
  for (int j = 0; j < padded(width); j += t->columns)
    products(t->columns, KEYS, t->tile_rows, own->turned, QUERIES, rows + j, padded(width), to + j, padded(width), count,
             to + j, padded(width));
}

/* Back through the modifiers, the last one first: slopes become those of the raw scores. */
INLINE void modifier_slopes(const AttentionTask *t, const BackwardOwn *own, Range queries, Range keys, int batch,
                            int head, const float *p) {
  if (t->modifier_count == 0) return;
  int offset = t->query_offsets[batch], lookup = t->lookup_count;
  for (int m = t->modifier_count - 1; m >= 0; m--) {
    const Modifier *modifier = t->modifiers + m;
    const float *scores = own->stages + m * QUERIES * KEYS;
    const int *attributes = modifier->attributes + batch * modifier->attribute_stride;
    lookup -= modifier->lookup_count;
    const RowLookup *lookups = own->scorer.lookups + lookup;
    if (modifier->gradients)
      modifier->add_gradients(scores, own->slopes, KEYS, queries.start + offset, queries.step, queries.count, keys.start,
                              keys.step, keys.count, head, offset + t->queries, t->key_length, offset, attributes,
                              modifier->tables, lookups, own->gradients + lookup);
    modifier->derivative(scores, own->derivative, KEYS, queries.start + offset, queries.step, queries.count, keys.start,
                         keys.step, keys.count, head, offset + t->queries, t->key_length, offset, attributes,
                         modifier->tables, lookups);
    /* A pair that is not allowed has probability 0; what a derivative gives there, NaN included, takes no part. */
    for (int i = 0; i < queries.count * KEYS; i += 4) {
      f32x4 bound = CONST(3e38f), d = LOAD(own->derivative + i);
      d = wasm_f32x4_max(wasm_f32x4_min(d, bound), wasm_f32x4_neg(bound));
      f32x4 takes_part = wasm_f32x4_ne(LOAD(p + i), CONST(0.0f));
      STORE(own->slopes + i, wasm_v128_and(MUL(LOAD(own->slopes + i), d), takes_part));
    }
  }
}

/* One range of queries of one head. */
INLINE void back(const BackwardTask *task, const Plan *plan, const BackwardOwn *own, int number, int batch, int head) {
  const AttentionTask *t = &task->forward;
  Range queries = plan->queries[number];
  int rows = queries.count, d = padded(t->d), e = padded(t->e);
  long row = ((long)batch * t->heads + head) * t->queries;
  const float *stats = t->stats + 2 * row, *o = t->o + row * t->e;
  gather(t->q + row * t->d, queries, t->d, own->q);
  gather(task->dy + row * t->e, queries, t->e, own->dy);
  clear(own->dq, rows * d);
  for (int i = 0; i < rows; i++) {
    const float *out = o + (long)(queries.start + i * queries.step) * t->e;
    /* One after the other and fused, as tile_products sums: a row that sees one key then has slopes of exactly 0. */
    f32x4 delta = CONST(0.0f);
    for (int j = 0; j < t->e; j++) delta = FMA(LOAD_SPLAT(own->dy + i * e + j), LOAD_SPLAT(out + j), delta);
    own->delta[i] = wasm_f32x4_extract_lane(delta, 0);
  }
  float *p = own->scorer.scores;
  for (int at = plan->first[number]; at < plan->first[number + 1]; at++) {
    Tile tile = plan->tiles[at];
    Range keys = plan->keys[tile.keys];
    long first = (long)tile.keys * KEYS;
    tile_products(t, rows, own->q, d, own->scorer.k + first * t->d, t->d, own->scorer.zeros, p);
    finish_scores(t, &own->scorer, queries, tile, keys, batch, head, own->stages);
    probabilities(p, rows, stats + 2 * queries.start, 2 * queries.step);
    tile_products(t, rows, own->dy, e, own->v + first * t->e, t->e, own->scorer.zeros, own->slopes);
    const float *kept = p;
    if (t->dropout_limit) {
      tile_dropout(t, (int)row + queries.start, queries.step, rows, keys.start, keys.step, own->dropout);
      multiply(own->slopes, own->dropout, own->slopes, rows * KEYS);
      multiply(p, own->dropout, own->kept, rows * KEYS);
      kept = own->kept;
    }
    if (task->dv) add_turned(t, own, kept, rows, own->dy, t->e, own->dv + first * e);
    score_slopes(p, own->slopes, rows, own->delta);
    if (t->modifier_count > 0) modifier_slopes(t, own, queries, keys, batch, head, p);
    if (!task->dq) continue;
    add_turned(t, own, own->slopes, rows, own->q, t->d, own->dk + first * d);
    for (int j = 0; j < d; j += t->columns)
      products(t->columns, rows, t->tile_rows, own->slopes, KEYS, own->k + first * d + j, d, own->dq + j, d, KEYS,
               own->dq + j, d);
  }
  if (task->dq) add_rows(own->dq, queries, t->d, t->scale, task->dq + row * t->d);
}

/* A unit is a key head of a batch row with all the heads that share it, so that no two units add to one place. */
EXPORT(attention_backward_units) int attention_backward_units(const BackwardTask *task) {
  return task->forward.batch * task->forward.key_heads;
}

EXPORT(attention_backward_scratch) int attention_backward_scratch(const BackwardTask *task) {
  float *end = 0;
  take_backward(&task->forward, &end);
  return (int)end;
}

EXPORT(attention_backward) void attention_backward(const BackwardTask *task, int begin, int end, float *scratch) {
  const AttentionTask *t = &task->forward;
  BackwardOwn own = take_backward(t, &scratch);
  clear(own.scorer.zeros, 16);
  int group = t->heads / t->key_heads;
  for (int unit = begin; unit < end; unit++) {
    int batch = unit / t->key_heads, key_head = unit % t->key_heads;
    long key_row = (long)unit * t->capacity, row = (long)unit * group * t->queries;
    const float *k = t->k + key_row * t->d, *v = t->v + key_row * t->e;
    if (task->dq) {
      zero(task->dq + row * t->d, (long)group * t->queries * t->d);
      zero(task->dk + key_row * t->d, (long)t->capacity * t->d);
      zero(task->dv + key_row * t->e, (long)t->capacity * t->e);
    }
    const Plan *packed = 0;
    for (int head = key_head * group; head < (key_head + 1) * group; head++) {
      const HeadPlan *plans = t->plans[batch * t->plan_batch_stride + head * t->plan_head_stride];
      place_lookups(t, own.scorer.lookups, batch, head, 0);
      if (!task->dq) place_lookups(t, own.gradients, batch, head, 1);
      for (int part = 0; part < plans->part_count; part++) {
        const Plan *plan = plans->parts + part;
        if (packed != plan) {
          clear(own.k, (long)plan->key_tiles * KEYS * padded(t->d));
          for (int r = 0; r < plan->key_tiles; r++) {
            pack_range(t, k, plan->keys[r], t->d, t->scale, own.scorer.k + (long)r * KEYS * t->d);
            pack_range(t, v, plan->keys[r], t->e, 1.0f, own.v + (long)r * KEYS * t->e);
            gather(k, plan->keys[r], t->d, own.k + (long)r * KEYS * padded(t->d));
          }
        }
        packed = plan;
        clear(own.dk, (long)plan->key_tiles * KEYS * padded(t->d));
        clear(own.dv, (long)plan->key_tiles * KEYS * padded(t->e));
        for (int i = 0; i < plan->query_tiles; i++) back(task, plan, &own, i, batch, head);
        for (int r = 0; task->dq && r < plan->key_tiles; r++) {
          add_rows(own.dk + (long)r * KEYS * padded(t->d), plan->keys[r], t->d, t->scale, task->dk + key_row * t->d);
          add_rows(own.dv + (long)r * KEYS * padded(t->e), plan->keys[r], t->e, 1.0f, task->dv + key_row * t->e);
        }
      }
    }
  }
}
