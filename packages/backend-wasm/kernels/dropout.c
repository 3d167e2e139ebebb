/* Dropout by the numbers of core's random streams, bit for bit: Threefry-2x32 with 20 rounds, four counters at once. */
#include "simd.h"

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

#define IADD(a, b) wasm_i32x4_add(a, b)
#define ISPLAT(x) wasm_i32x4_splat((int)(x))
#define ROTATE(x, n) wasm_v128_or(wasm_i32x4_shl(x, n), wasm_u32x4_shr(x, 32 - (n)))
#define ROUND(n) (x0 = IADD(x0, x1), x1 = wasm_v128_xor(ROTATE(x1, n), x0))
#define ROUNDS_A() (ROUND(13), ROUND(15), ROUND(26), ROUND(6))
#define ROUNDS_B() (ROUND(17), ROUND(29), ROUND(16), ROUND(24))
#define INJECT(a, b) (x0 = IADD(x0, a), x1 = IADD(x1, b))

/* The key's words, those that are injected with their number added to the second word, and what makes masks: all held in
   registers, since the compiler cannot know that no store changes the task. */
typedef struct {
  v128_t k0, k1, k2, first, second, third, fourth, fifth, limit;
  f32x4 kept;
} DropoutConstants;

INLINE DropoutConstants dropout_constants(const DropoutTask *t) {
  uint32_t k2 = t->key0 ^ t->key1 ^ 0x1bd11bdau;
  return (DropoutConstants){
      ISPLAT(t->key0),     ISPLAT(t->key1), ISPLAT(k2),          ISPLAT(k2 + 1),   ISPLAT(t->key0 + 2),
      ISPLAT(t->key1 + 3), ISPLAT(k2 + 4),  ISPLAT(t->key0 + 5), ISPLAT(t->limit), SPLAT(t->kept),
  };
}

/* 0, or `kept`, for 8 values whose words come from the counters `pair` to `pair` + 3. */
INLINE void masks(const DropoutConstants *c, int pair, f32x4 *low, f32x4 *high) {
  v128_t x0 = IADD(IADD(ISPLAT(pair), wasm_i32x4_const(0, 1, 2, 3)), c->k0), x1 = c->k1;
  ROUNDS_A(), INJECT(c->k1, c->first);
  ROUNDS_B(), INJECT(c->k2, c->second);
  ROUNDS_A(), INJECT(c->k0, c->third);
  ROUNDS_B(), INJECT(c->k1, c->fourth);
  ROUNDS_A(), INJECT(c->k2, c->fifth);
  x0 = wasm_v128_andnot(c->kept, wasm_i32x4_lt(wasm_u32x4_shr(x0, 8), c->limit));
  x1 = wasm_v128_andnot(c->kept, wasm_i32x4_lt(wasm_u32x4_shr(x1, 8), c->limit));
  *low = wasm_i32x4_shuffle(x0, x1, 0, 4, 1, 5);
  *high = wasm_i32x4_shuffle(x0, x1, 2, 6, 3, 7);
}

EXPORT(dropout_units) int dropout_units(const DropoutTask *t) { return (t->size + DROPOUT_FLOATS - 1) / DROPOUT_FLOATS; }
EXPORT(dropout) void dropout(const DropoutTask *t, int begin, int end, void *own) {
  DropoutConstants c = dropout_constants(t);
  const float *x = t->x;
  float *y = t->y;
  int i = begin * DROPOUT_FLOATS, last = least(end * DROPOUT_FLOATS, t->size);
  f32x4 low, high;
  NO_UNROLL for (; i + 8 <= last; i += 8) {
    masks(&c, i / 2, &low, &high);
    STORE(y + i, MUL(LOAD(x + i), low));
    STORE(y + i + 4, MUL(LOAD(x + i + 4), high));
  }
  int n = last - i;
  if (n <= 0) return;
  masks(&c, i / 2, &low, &high);
  if (n >= 4)
    STORE(y + i, MUL(LOAD(x + i), low));
  else
    store_first(y + i, MUL(load_first(x + i, n), low), n);
  if (n > 4) store_first(y + i + 4, MUL(load_first(x + i + 4, n - 4), high), n - 4);
}
