/* Four floats at a time: the names that every kernel is written in. */
#ifndef SIMD_H
#define SIMD_H

#include <stdint.h>
#include <wasm_simd128.h>

typedef v128_t f32x4;

#define EXPORT(name) __attribute__((export_name(#name)))
#define INLINE static inline __attribute__((always_inline))
/* A micro-kernel is a function of its own: V8 then keeps its accumulators in registers: 58 GFLOP/s instead of 27. */
#define NOINLINE static __attribute__((noinline))
/* Unrolling a loop over k spills the accumulators. */
#define NO_UNROLL _Pragma("clang loop unroll(disable)")
#define UNROLL _Pragma("clang loop unroll(full)")

/* V8 makes two neighbouring vectors one of twice the width (../src/wide.ts) only where both are loaded before either is
   stored, and the compiler moves a load behind a store that it knows to be elsewhere. Between loads and stores of a pair:
   exp takes 0.20 ns an element instead of 0.38. */
#define BOTH_LOADED __asm__ volatile("" ::: "memory")

#define LOAD(p) wasm_v128_load(p)
#define STORE(p, x) wasm_v128_store(p, x)
#define LOAD_SPLAT(p) wasm_v128_load32_splat(p)
#define SPLAT(x) wasm_f32x4_splat(x)
#define CONST(x) wasm_f32x4_const_splat(x)
#define ADD(a, b) wasm_f32x4_add(a, b)
#define SUB(a, b) wasm_f32x4_sub(a, b)
#define MUL(a, b) wasm_f32x4_mul(a, b)
/* The lesser or greater of x and a bound, x where it is NaN. wasm_f32x4_min and max, with their rules about NaN and -0,
   are slower: slopes of activations took 1.7 to 1.9 times as long with them. */
#define AT_MOST(x, bound) wasm_f32x4_pmin(x, bound)
#define AT_LEAST(x, bound) wasm_f32x4_pmax(x, bound)

/* FMA(a, b, c) = a b + c, NFMA(a, b, c) = c - a b: one instruction, rounded once, with relaxed SIMD. */
#ifdef RELAXED
#define FMA(a, b, c) wasm_f32x4_relaxed_madd(a, b, c)
#define NFMA(a, b, c) wasm_f32x4_relaxed_nmadd(a, b, c)
#else
#define FMA(a, b, c) ADD(MUL(a, b), c)
#define NFMA(a, b, c) SUB(c, MUL(a, b))
#endif

INLINE float sum_of(f32x4 a) {
  a = ADD(a, wasm_i32x4_shuffle(a, a, 2, 3, 0, 1));
  a = ADD(a, wasm_i32x4_shuffle(a, a, 1, 0, 3, 2));
  return wasm_f32x4_extract_lane(a, 0);
}

INLINE float max_of(f32x4 a) {
  a = wasm_f32x4_max(a, wasm_i32x4_shuffle(a, a, 2, 3, 0, 1));
  a = wasm_f32x4_max(a, wasm_i32x4_shuffle(a, a, 1, 0, 3, 2));
  return wasm_f32x4_extract_lane(a, 0);
}

/* The first n of four floats, n from 1 to 3, the others 0; reads no byte behind them. */
INLINE f32x4 load_first(const float *p, int n) {
  f32x4 x = wasm_v128_load32_zero(p);
  if (n > 1) x = wasm_v128_load32_lane(p + 1, x, 1);
  if (n > 2) x = wasm_v128_load32_lane(p + 2, x, 2);
  return x;
}

/* All bits in the first n of four lanes. */
INLINE f32x4 first_lanes(int n) { return wasm_i32x4_lt(wasm_i32x4_const(0, 1, 2, 3), wasm_i32x4_splat(n)); }

INLINE void store_first(float *p, f32x4 x, int n) {
  wasm_v128_store32_lane(p, x, 0);
  if (n > 1) wasm_v128_store32_lane(p + 1, x, 1);
  if (n > 2) wasm_v128_store32_lane(p + 2, x, 2);
}

INLINE void copy_floats(float *to, const float *from, long n) {
  long i = 0;
  for (; i + 4 <= n; i += 4) STORE(to + i, LOAD(from + i));
  for (; i < n; i++) to[i] = from[i];
}

/* The sum may be where one of the two is. */
INLINE void sum_floats(float *sum, const float *x, const float *y, long n) {
  long i = 0;
  for (; i + 4 <= n; i += 4) STORE(sum + i, ADD(LOAD(x + i), LOAD(y + i)));
  for (; i < n; i++) sum[i] = x[i] + y[i];
}

INLINE void add_floats(float *to, const float *from, long n) { sum_floats(to, to, from, n); }

/* The product may be where x is. */
INLINE void scale_floats(float *product, const float *x, float factor, long n) {
  f32x4 factors = SPLAT(factor);
  long i = 0;
  for (; i + 4 <= n; i += 4) STORE(product + i, MUL(LOAD(x + i), factors));
  for (; i < n; i++) product[i] = x[i] * factor;
}

INLINE void fill_zeros(float *to, long n) {
  long i = 0;
  for (; i + 4 <= n; i += 4) STORE(to + i, CONST(0.0f));
  for (; i < n; i++) to[i] = 0.0f;
}

INLINE int least(int a, int b) { return a < b ? a : b; }
INLINE int greatest(int a, int b) { return a > b ? a : b; }
INLINE int up_to_multiple(int n, int of) { return (n + of - 1) / of * of; }

#endif
