/* Dropout, its numbers drawn where they are used. */
#include "random.h"

typedef struct {
  const float *x;
  float *y;
  int size;
  uint32_t key0, key1; /* of the stream */
  int limit;           /* a value is dropped where the upper 24 bits of its word are below */
  float kept;          /* factor of the others */
} DropoutTask;

/* Floats of a unit: a multiple of 8, which four counters give. */
enum { DROPOUT_FLOATS = 4096 };

/* Factors of 8 values whose words come from the counters `pair` to `pair` + 3. */
INLINE void masks(const ThreefryKey *key, v128_t limit, f32x4 kept, int pair, f32x4 *low, f32x4 *high) {
  v128_t word0, word1;
  threefry4(key, IADD(ISPLAT(pair), wasm_i32x4_const(0, 1, 2, 3)), wasm_i32x4_const_splat(0), &word0, &word1);
  f32x4 even = dropout_factors(word0, limit, kept), odd = dropout_factors(word1, limit, kept);
  *low = wasm_i32x4_shuffle(even, odd, 0, 4, 1, 5);
  *high = wasm_i32x4_shuffle(even, odd, 2, 6, 3, 7);
}

EXPORT(dropout_units) int dropout_units(const DropoutTask *t) { return (t->size + DROPOUT_FLOATS - 1) / DROPOUT_FLOATS; }
EXPORT(dropout) void dropout(const DropoutTask *t, int begin, int end, void *own) {
  /* In registers: the compiler cannot know that no store changes the task. */
  ThreefryKey key = threefry_key(t->key0, t->key1);
  v128_t limit = ISPLAT(t->limit);
  f32x4 kept = SPLAT(t->kept);
  const float *x = t->x;
  float *y = t->y;
  int i = begin * DROPOUT_FLOATS, last = least(end * DROPOUT_FLOATS, t->size);
  f32x4 low, high;
  NO_UNROLL for (; i + 8 <= last; i += 8) {
    masks(&key, limit, kept, i / 2, &low, &high);
    STORE(y + i, MUL(LOAD(x + i), low));
    STORE(y + i + 4, MUL(LOAD(x + i + 4), high));
  }
  int n = last - i;
  if (n <= 0) return;
  masks(&key, limit, kept, i / 2, &low, &high);
  if (n >= 4)
    STORE(y + i, MUL(LOAD(x + i), low));
  else
    store_first(y + i, MUL(load_first(x + i, n), low), n);
  if (n > 4) store_first(y + i + 4, MUL(load_first(x + i + 4, n - 4), high), n - 4);
}
