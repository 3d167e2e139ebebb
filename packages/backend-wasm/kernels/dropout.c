/* Dropout by the numbers of core's random streams, bit for bit: Threefry-2x32 with 20 rounds, four counters at once. */
#include "simd.h"

typedef struct {
  const float *x;
  float *y;
  int size;
  int key0, key1; /* of the stream */
  int limit;      /* a value is dropped where the upper 24 bits of its word are below */
  float kept;     /* factor of the others */
} DropoutTask;

/* Floats of a unit: a multiple of 8, which four counters give. */
enum { DROPOUT_FLOATS = 4096 };

#define IADD(a, b) wasm_i32x4_add(a, b)
#define ROTATE(x, n) wasm_v128_or(wasm_i32x4_shl(x, n), wasm_u32x4_shr(x, 32 - (n)))
#define ROUND(n) (x0 = IADD(x0, x1), x1 = wasm_v128_xor(ROTATE(x1, n), x0))
#define ROUNDS_A() (ROUND(13), ROUND(15), ROUND(26), ROUND(6))
#define ROUNDS_B() (ROUND(17), ROUND(29), ROUND(16), ROUND(24))
/* The key's next two words and the number of the injection. */
#define INJECT(a, b, number) (x0 = IADD(x0, a), x1 = IADD(x1, IADD(b, wasm_i32x4_splat(number))))

/* 0, or `kept`, for 8 values whose words come from the counters `pair` to `pair` + 3. */
INLINE void masks(const DropoutTask *t, int pair, f32x4 *low, f32x4 *high) {
  v128_t k0 = wasm_i32x4_splat(t->key0), k1 = wasm_i32x4_splat(t->key1);
  v128_t k2 = wasm_i32x4_splat(t->key0 ^ t->key1 ^ 0x1bd11bda);
  v128_t x0 = IADD(IADD(wasm_i32x4_splat(pair), wasm_i32x4_const(0, 1, 2, 3)), k0), x1 = k1;
  ROUNDS_A(), INJECT(k1, k2, 1);
  ROUNDS_B(), INJECT(k2, k0, 2);
  ROUNDS_A(), INJECT(k0, k1, 3);
  ROUNDS_B(), INJECT(k1, k2, 4);
  ROUNDS_A(), INJECT(k2, k0, 5);
  v128_t limit = wasm_i32x4_splat(t->limit);
  f32x4 kept = SPLAT(t->kept);
  x0 = wasm_v128_andnot(kept, wasm_i32x4_lt(wasm_u32x4_shr(x0, 8), limit));
  x1 = wasm_v128_andnot(kept, wasm_i32x4_lt(wasm_u32x4_shr(x1, 8), limit));
  *low = wasm_i32x4_shuffle(x0, x1, 0, 4, 1, 5);
  *high = wasm_i32x4_shuffle(x0, x1, 2, 6, 3, 7);
}

EXPORT(dropout_units) int dropout_units(const DropoutTask *t) { return (t->size + DROPOUT_FLOATS - 1) / DROPOUT_FLOATS; }
EXPORT(dropout) void dropout(const DropoutTask *t, int begin, int end, void *own) {
  int last = least(end * DROPOUT_FLOATS, t->size);
  for (int i = begin * DROPOUT_FLOATS; i < last; i += 8) {
    const float *x = t->x + i;
    float *y = t->y + i;
    int n = last - i;
    f32x4 low, high;
    masks(t, i / 2, &low, &high);
    if (n >= 4)
      STORE(y, MUL(LOAD(x), low));
    else
      store_first(y, MUL(load_first(x, n), low), n);
    if (n >= 8)
      STORE(y + 4, MUL(LOAD(x + 4), high));
    else if (n > 4)
      store_first(y + 4, MUL(load_first(x + 4, n - 4), high), n - 4);
  }
}
