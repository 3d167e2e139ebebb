/* exp. */
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
      hidden(9.99999702e-1f),  hidden(1.0f),           hidden(-88.0f),
  };
}

/* (exp(f) - 1) / f for |f| <= ln 2 / 2. */
INLINE f32x4 exp_slope4(f32x4 f, const ExpConstants *c) {
  f32x4 p = FMA(c->c5, f, c->c4);
  p = FMA(p, f, c->c3);
  p = FMA(p, f, c->c2);
  return FMA(p, f, c->c1);
}

/* exp(x) for x <= 88, 0 below -87.7, within 2 units in the last place: x = n ln 2 + f, where adding the magic number
   rounds x / ln 2 to an integer that then sits in the low bits, 127 more, which is how an exponent is held: shifted there
   it is 2^n, and 0 for the n of the least x; a polynomial of degree 5 for exp(f) times that. NaN of any bits stays NaN. */
INLINE f32x4 exp4(f32x4 x, const ExpConstants *c) {
  x = AT_LEAST(x, c->least);
  f32x4 t = FMA(x, c->log2e, c->magic);
  f32x4 n = SUB(t, c->magic);
  f32x4 f = NFMA(n, c->ln2_low, NFMA(n, c->ln2_high, x));
  f32x4 p = FMA(exp_slope4(f, c), f, c->one);
  return MUL(p, wasm_i32x4_shl(t, 23));
}

#endif
