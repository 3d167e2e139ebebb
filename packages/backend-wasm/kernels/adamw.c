/* A step of AdamW in one pass over value, gradient and both moments. */
#include "simd.h"

typedef struct {
  const float *value, *gradient, *mean, *square;
  float *new_value, *new_mean, *new_square; /* may be the old ones */
  int size;
  float beta1, rest1; /* rest = 1 - beta, rounded once */
  float beta2, rest2;
  float inverse_root; /* 1 / sqrt(1 - beta2^step) */
  float epsilon;
  float rate; /* learning rate / (1 - beta1^step) */
  float kept; /* share of the value that decay leaves */
} AdamWTask;

/* Floats of a unit. */
enum { ADAMW_FLOATS = 4096 };

typedef struct {
  f32x4 value, mean, square;
} AdamWState;

INLINE AdamWState adamw4(const AdamWTask *t, AdamWState old, f32x4 gradient) {
  AdamWState now;
  now.mean = FMA(gradient, SPLAT(t->rest1), MUL(old.mean, SPLAT(t->beta1)));
  now.square = FMA(MUL(gradient, gradient), SPLAT(t->rest2), MUL(old.square, SPLAT(t->beta2)));
  f32x4 root = FMA(wasm_f32x4_sqrt(now.square), SPLAT(t->inverse_root), SPLAT(t->epsilon));
  now.value = NFMA(wasm_f32x4_div(now.mean, root), SPLAT(t->rate), MUL(old.value, SPLAT(t->kept)));
  return now;
}

EXPORT(adamw_units) int adamw_units(const AdamWTask *t) { return (t->size + ADAMW_FLOATS - 1) / ADAMW_FLOATS; }
EXPORT(adamw) void adamw(const AdamWTask *t, int begin, int end, void *own) {
  int i = begin * ADAMW_FLOATS, last = least(end * ADAMW_FLOATS, t->size);
  for (; i + 4 <= last; i += 4) {
    AdamWState old = {LOAD(t->value + i), LOAD(t->mean + i), LOAD(t->square + i)};
    AdamWState now = adamw4(t, old, LOAD(t->gradient + i));
    STORE(t->new_value + i, now.value);
    STORE(t->new_mean + i, now.mean);
    STORE(t->new_square + i, now.square);
  }
  int n = last - i;
  if (n > 0) {
    AdamWState old = {load_first(t->value + i, n), load_first(t->mean + i, n), load_first(t->square + i, n)};
    AdamWState now = adamw4(t, old, load_first(t->gradient + i, n));
    store_first(t->new_value + i, now.value, n);
    store_first(t->new_mean + i, now.mean, n);
    store_first(t->new_square + i, now.square, n);
  }
}
