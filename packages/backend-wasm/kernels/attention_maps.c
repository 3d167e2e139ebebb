/* Attention probabilities of chosen heads and rows: the only part of queries x keys that is ever held. */
#include "attention.h"

/* A row that is asked for. */
typedef struct {
  int row;   /* its number among the queries */
  int place; /* its number in the map */
} MapRow;

typedef struct {
  AttentionTask attention; /* o is the map, [batch, head_count, row_count, key_length] */
  const int *heads;        /* [head_count] */
  const MapRow *rows;      /* [row_count], by row */
  int head_count, row_count;
} MapsTask;

/* A worker's own memory, beside what scores a tile. */
typedef struct {
  Scorer scorer;
  int *packed; /* [key_tiles]: whether a range of keys is in scorer.k */
} MapsOwn;

INLINE MapsOwn take_maps(const AttentionTask *t, float **at) {
  MapsOwn own;
  own.scorer = take_scorer(t, at, 1);
  own.packed = (int *)take(at, t->key_tiles);
  return own;
}

/* Number of the first row from `row` on that is asked for. */
INLINE int first_from(const MapsTask *task, int row) {
  int low = 0, high = task->row_count;
  while (low < high) {
    int middle = (low + high) / 2;
    if (task->rows[middle].row < row)
      low = middle + 1;
    else
      high = middle;
  }
  return low;
}

/* Scores of the rows asked for in one range of queries, minus infinity where a pair is not allowed. */
INLINE void map_range(const MapsTask *task, const Plan *plan, const MapsOwn *own, int number, int batch, int head,
                      float *map) {
  const AttentionTask *t = &task->attention;
  Range all = plan->queries[number];
  int begin = first_from(task, all.start), end = first_from(task, all.start + (all.count - 1) * all.step + 1);
  /* The least part of the range that holds them. */
  int first = all.count, last = -1;
  for (int r = begin; r < end; r++) {
    int from_start = task->rows[r].row - all.start;
    if (from_start % all.step) continue;
    first = least(first, from_start / all.step);
    last = from_start / all.step;
  }
  if (last < 0) return;
  Range queries = {all.start + first * all.step, all.step, last - first + 1};
  const float *q = t->q + (((long)batch * t->heads + head) * t->queries + queries.start) * t->d;
  const float *k = t->k + ((long)batch * t->key_heads + head * t->key_heads / t->heads) * t->capacity * t->d;
  for (int at = plan->first[number]; at < plan->first[number + 1]; at++) {
    Tile tile = plan->tiles[at];
    Range keys = plan->keys[tile.keys];
    float *panels = own->scorer.k + (long)tile.keys * KEYS * t->d;
    if (!own->packed[tile.keys]) pack_range(t, k, keys, t->d, t->scale, panels);
    own->packed[tile.keys] = 1;
    tile_products(t, queries.count, q, queries.step * t->d, panels, t->d, own->scorer.zeros, own->scorer.scores);
    if (tile.mask) tile.mask += first;
    finish_scores(t, &own->scorer, queries, tile, keys, batch, head, 0);
    for (int r = begin; r < end; r++) {
      int from_start = task->rows[r].row - queries.start;
      if (from_start % queries.step) continue;
      const float *from = own->scorer.scores + from_start / queries.step * KEYS;
      float *to = map + (long)task->rows[r].place * t->key_length + keys.start;
      /* A pair that is not allowed here may be another part's. */
      for (int j = 0; j < keys.count; j++)
        if (from[j] != -__builtin_inff()) to[j * keys.step] = from[j];
    }
  }
}

/* Scores of a row to probabilities; all 0 where it sees no key. */
NOINLINE void softmax_row(float *row, int n) {
  ExpConstants c = exp_constants();
  /* Below any score, and finite, as in the forward pass. */
  f32x4 most = CONST(-1e30f), total = CONST(0.0f);
  int i = 0;
  for (; i + 4 <= n; i += 4) most = wasm_f32x4_max(most, LOAD(row + i));
  for (; i < n; i++) most = wasm_f32x4_max(most, LOAD_SPLAT(row + i));
  f32x4 top = SPLAT(max_of(most));
  i = 0;
  NO_UNROLL for (; i + 4 <= n; i += 4) {
    f32x4 e = exp4(SUB(LOAD(row + i), top), &c);
    STORE(row + i, e);
    total = ADD(total, e);
  }
  if (i < n) {
    /* Lanes behind the last have the exponential of minus infinity. */
    f32x4 x = wasm_v128_bitselect(load_first(row + i, n - i), CONST(-__builtin_inff()), first_lanes(n - i));
    f32x4 e = exp4(SUB(x, top), &c);
    store_first(row + i, e, n - i);
    total = ADD(total, e);
  }
  float sum = sum_of(total), factor = sum == 0.0f ? 0.0f : 1.0f / sum;
  for (i = 0; i < n; i++) row[i] *= factor;
}

/* A unit is a chosen head of a batch row. */
EXPORT(attention_maps_units) int attention_maps_units(const MapsTask *task) {
  return task->attention.batch * task->head_count;
}

EXPORT(attention_maps_scratch) int attention_maps_scratch(const MapsTask *task) {
  float *end = 0;
  take_maps(&task->attention, &end);
  return (int)end;
}

EXPORT(attention_maps) void attention_maps(const MapsTask *task, int begin, int end, float *scratch) {
  const AttentionTask *t = &task->attention;
  MapsOwn own = take_maps(t, &scratch);
  clear(own.scorer.zeros, 16);
  for (int unit = begin; unit < end; unit++) {
    int batch = unit / task->head_count, head = task->heads[unit % task->head_count];
    const HeadPlan *plans = t->plans[batch * t->plan_batch_stride + head * t->plan_head_stride];
    long size = (long)task->row_count * t->key_length;
    float *map = t->o + unit * size;
    for (long i = 0; i < size; i++) map[i] = -__builtin_inff();
    place_lookups(t, own.scorer.lookups, batch, head, 0);
    for (int part = 0; part < plans->part_count; part++) {
      const Plan *plan = plans->parts + part;
      for (int i = 0; i < plan->key_tiles; i++) own.packed[i] = 0;
      for (int i = 0; i < plan->query_tiles; i++) map_range(task, plan, &own, i, batch, head, map);
    }
    for (int i = 0; i < task->row_count; i++) softmax_row(map + (long)i * t->key_length, t->key_length);
  }
}
