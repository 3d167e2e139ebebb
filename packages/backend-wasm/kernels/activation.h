/* The activations of core's `activation` and `linear`. */
#ifndef ACTIVATION_H
#define ACTIVATION_H

#include "exp.h"

/* In the order of `activationCodes` in ../src/activation.ts. */
enum { NO_ACTIVATION, GELU, GELU_NEW, RELU, SILU, TANH };

/* exp(-x^2 / 2). */
INLINE f32x4 bell4(f32x4 x, const ExpConstants *c) { return exp4(MUL(MUL(x, x), CONST(-0.5f)), c); }

/* (1 + erf(x / sqrt 2)) / 2, by erfc(z) = exp(-z^2) times a polynomial of 1 / (1 + p z): Abramowitz and Stegun
   7.1.26, within 1.5e-7. */
INLINE f32x4 gelu_factor4(f32x4 x, f32x4 bell, const ExpConstants *c) {
  f32x4 z = MUL(wasm_f32x4_abs(x), CONST(0.707106781f));
  f32x4 t = wasm_f32x4_div(c->one, FMA(z, CONST(0.3275911f), c->one));
  f32x4 p = FMA(t, CONST(1.061405429f), CONST(-1.453152027f));
  p = FMA(p, t, CONST(1.421413741f));
  p = FMA(p, t, CONST(-0.284496736f));
  p = FMA(p, t, CONST(0.254829592f));
  f32x4 half_erfc = MUL(MUL(MUL(p, t), CONST(0.5f)), bell);
  f32x4 positive = wasm_f32x4_ge(x, CONST(0.0f));
  return wasm_v128_bitselect(SUB(c->one, half_erfc), half_erfc, positive);
}

INLINE f32x4 gelu4(f32x4 x, const ExpConstants *c) { return MUL(x, gelu_factor4(x, bell4(x, c), c)); }

/* x (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))) / 2, as x sigmoid(2 sqrt(2 / pi) …). */
INLINE f32x4 gelu_new4(f32x4 x, const ExpConstants *c) {
  f32x4 inner = MUL(x, FMA(MUL(x, x), CONST(0.0713548163f), CONST(1.59576912f)));
  return MUL(x, sigmoid4(inner, c));
}

INLINE f32x4 relu4(f32x4 x, const ExpConstants *c) { return AT_LEAST(x, CONST(0.0f)); }

INLINE f32x4 silu4(f32x4 x, const ExpConstants *c) { return MUL(x, sigmoid4(x, c)); }

/* rows x (4 vectors) floats in place, rows `stride` floats apart. One function an activation, apart from the product:
   a branch beside the accumulators halves its speed. */
#define ACTIVATE(name)                                                                        \
  NOINLINE void activate_##name(float *y, int stride, int rows, int vectors) {                \
    ExpConstants c = exp_constants();                                                         \
    for (; rows--; y += stride) {                                                             \
      NO_UNROLL for (int i = 0; i < 4 * vectors; i += 4) STORE(y + i, name##4(LOAD(y + i), &c)); \
    }                                                                                         \
  }
ACTIVATE(gelu)
ACTIVATE(gelu_new)
ACTIVATE(relu)
ACTIVATE(silu)
ACTIVATE(tanh)

static void activate(float *y, int stride, int rows, int vectors, int kind) {
  switch (kind) {
    case GELU: activate_gelu(y, stride, rows, vectors); break;
    case GELU_NEW: activate_gelu_new(y, stride, rows, vectors); break;
    case RELU: activate_relu(y, stride, rows, vectors); break;
    case SILU: activate_silu(y, stride, rows, vectors); break;
    case TANH: activate_tanh(y, stride, rows, vectors); break;
  }
}

#endif
