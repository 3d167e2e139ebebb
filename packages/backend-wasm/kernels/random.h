/* The numbers of core's random streams, bit for bit: Threefry-2x32 with 20 rounds, four counters at once. */
#ifndef RANDOM_H
#define RANDOM_H

#include "simd.h"

#define IADD(a, b) wasm_i32x4_add(a, b)
#define ISPLAT(x) wasm_i32x4_splat((int)(x))
#define ROTATE(x, n) wasm_v128_or(wasm_i32x4_shl(x, n), wasm_u32x4_shr(x, 32 - (n)))
#define ROUND(n) (x0 = IADD(x0, x1), x1 = wasm_v128_xor(ROTATE(x1, n), x0))
#define ROUNDS_A() (ROUND(13), ROUND(15), ROUND(26), ROUND(6))
#define ROUNDS_B() (ROUND(17), ROUND(29), ROUND(16), ROUND(24))
#define INJECT(a, b) (x0 = IADD(x0, a), x1 = IADD(x1, b))

/* The key's words, and those that are injected with their number added to the second word: held in registers. */
typedef struct {
  v128_t k0, k1, k2, first, second, third, fourth, fifth;
} ThreefryKey;

INLINE ThreefryKey threefry_key(uint32_t key0, uint32_t key1) {
  uint32_t key2 = key0 ^ key1 ^ 0x1bd11bdau;
  return (ThreefryKey){
      ISPLAT(key0),     ISPLAT(key1),     ISPLAT(key2),     ISPLAT(key2 + 1),
      ISPLAT(key0 + 2), ISPLAT(key1 + 3), ISPLAT(key2 + 4), ISPLAT(key0 + 5),
  };
}

/* Both words of four counters, given by their low and high halves. */
INLINE void threefry4(const ThreefryKey *k, v128_t low, v128_t high, v128_t *word0, v128_t *word1) {
  v128_t x0 = IADD(low, k->k0), x1 = IADD(high, k->k1);
  ROUNDS_A(), INJECT(k->k1, k->first);
  ROUNDS_B(), INJECT(k->k2, k->second);
  ROUNDS_A(), INJECT(k->k0, k->third);
  ROUNDS_B(), INJECT(k->k1, k->fourth);
  ROUNDS_A(), INJECT(k->k2, k->fifth);
  *word0 = x0;
  *word1 = x1;
}

/* What dropout does to values: 0 where the upper 24 bits of a word are below `limit`, else `kept`. */
INLINE f32x4 dropout_factors(v128_t words, v128_t limit, f32x4 kept) {
  return wasm_v128_andnot(kept, wasm_i32x4_lt(wasm_u32x4_shr(words, 8), limit));
}

#endif
