/* exp, and what is made of it. */
#ifndef EXP_H
#define EXP_H

#include "simd.h"

/* V8 loads a constant vector from memory at each use; a splat of a float whose value the compiler cannot see stays in
   a register (1.64 to 0.38 ns an element). */
INLINE f32x4 hidden(float value) {
  __asm__("" : "+r"(value));
  return SPLAT(value);
}

typedef struct {
  f32x4 log2e, magic, ln2_high, ln2_low, c5, c4, c3, c2, c1, one, least;
} ExpConstants;

INLINE ExpConstants exp_constants(void) {
  return (ExpConstants){
      hidden(1.44269504f),     hidden(12583039.0f),    hidden(0.693145752f),   hidden(1.42860677e-6f),
      hidden(8.2893677e-3f),   hidden(4.1895066e-2f),  hidden(1.66676521e-1f), hidden(4.99991506e-1f),
      hidden(9.99999702e-1f),  hidden(1.0f),           hidden(-87.0f),
  };
}

/* (exp(f) - 1) / f for |f| <= ln 2 / 2. */
INLINE f32x4 exp_slope4(f32x4 f, const ExpConstants *c) {
  f32x4 p = FMA(c->c5, f, c->c4);
  p = FMA(p, f, c->c3);
  p = FMA(p, f, c->c2);
  return FMA(p, f, c->c1);
}

/* exp(x) for x <= 88, 0 below -87, within 2 units in the last place: x = n ln 2 + f, where adding the magic number
   rounds x / ln 2 to an integer that then sits in the low bits, 127 more, which is how an exponent is held: shifted there
   it is 2^n; a polynomial of degree 5 for exp(f) times that. NaN of any bits stays NaN. */
INLINE f32x4 exp4(f32x4 x, const ExpConstants *c) {
  f32x4 inside = wasm_f32x4_lt(x, c->least);
  f32x4 t = FMA(x, c->log2e, c->magic);
  f32x4 n = SUB(t, c->magic);
  f32x4 f = NFMA(n, c->ln2_low, NFMA(n, c->ln2_high, x));
  f32x4 p = FMA(exp_slope4(f, c), f, c->one);
  return wasm_v128_andnot(MUL(p, wasm_i32x4_shl(t, 23)), inside);
}

/* tanh(x) = m / (m + 2) where m = exp(2 x) - 1 = 2^n (f slope) + (2^n - 1), which keeps the digits of a small x. */
INLINE f32x4 tanh4(f32x4 x, const ExpConstants *c) {
  f32x4 two = CONST(2.0f), y = AT_MOST(AT_LEAST(MUL(x, two), c->least), CONST(87.0f));
  f32x4 t = FMA(y, c->log2e, c->magic);
  f32x4 n = SUB(t, c->magic), power = wasm_i32x4_shl(t, 23);
  f32x4 f = NFMA(n, c->ln2_low, NFMA(n, c->ln2_high, y));
  f32x4 m = FMA(MUL(exp_slope4(f, c), f), power, SUB(power, c->one));
  return wasm_f32x4_div(m, ADD(m, two));
}

/* 1 / (1 + exp(-x)), 0 below -87, so that x times it is small for every finite x. */
INLINE f32x4 sigmoid4(f32x4 x, const ExpConstants *c) {
  f32x4 below = wasm_f32x4_lt(x, c->least);
  f32x4 e = exp4(AT_MOST(wasm_f32x4_neg(x), CONST(88.0f)), c);
  return wasm_v128_andnot(wasm_f32x4_div(c->one, ADD(c->one, e)), below);
}

#endif
