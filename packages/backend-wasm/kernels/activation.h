/* The activations of core's `activation` and `linear`. */
#ifndef ACTIVATION_H
#define ACTIVATION_H

#include "exp.h"

/* In the order of `activationCodes` in ../src/activation.ts. */
enum { NO_ACTIVATION, GELU, GELU_NEW, RELU, SILU, TANH };

typedef struct {
  ExpConstants exp;
  f32x4 two, most;                                           /* of tanh and sigmoid */
  f32x4 minus_half, half, root_half, e0, e1, e2, e3, e4, e5; /* of gelu */
  f32x4 cubic, linear, slope_cubic;                          /* of gelu_new */
  f32x4 bell, near, far;                                     /* of slopes */
} ActivationConstants;

INLINE ActivationConstants activation_constants(void) {
  return (ActivationConstants){
      exp_constants(),
      hidden(2.0f),          hidden(88.0f),
      hidden(-0.5f),         hidden(0.5f),          hidden(0.707106781f),  hidden(0.3275911f),    hidden(0.254829592f),
      hidden(-0.284496736f), hidden(1.421413741f),  hidden(-1.453152027f), hidden(1.061405429f),  hidden(0.0713548163f),
      hidden(1.59576912f),   hidden(0.214064449f),  hidden(0.398942280f),  hidden(-100.0f),       hidden(100.0f),
  };
}

/* tanh(x) = m / (m + 2) where m = exp(2 x) - 1 = 2^n (f slope) + (2^n - 1), which keeps the digits of a small x. */
INLINE f32x4 tanh4(f32x4 x, const ActivationConstants *c) {
  const ExpConstants *e = &c->exp;
  f32x4 y = AT_MOST(AT_LEAST(MUL(x, c->two), e->least), c->most);
  f32x4 t = FMA(y, e->log2e, e->magic);
  f32x4 n = SUB(t, e->magic), power = wasm_i32x4_shl(t, 23);
  f32x4 f = NFMA(n, e->ln2_low, NFMA(n, e->ln2_high, y));
  f32x4 m = FMA(MUL(exp_slope4(f, e), f), power, SUB(power, e->one));
  return wasm_f32x4_div(m, ADD(m, c->two));
}

/* 1 / (1 + exp(-x)), 0 below -88, so that x times it is small for every finite x. */
INLINE f32x4 sigmoid4(f32x4 x, const ActivationConstants *c) {
  f32x4 below = wasm_f32x4_lt(x, c->exp.least);
  f32x4 e = exp4(AT_MOST(wasm_f32x4_neg(x), c->most), &c->exp);
  return wasm_v128_andnot(wasm_f32x4_div(c->exp.one, ADD(c->exp.one, e)), below);
}

/* exp(-x^2 / 2). */
INLINE f32x4 bell4(f32x4 x, const ActivationConstants *c) { return exp4(MUL(MUL(x, x), c->minus_half), &c->exp); }

/* (1 + erf(x / sqrt 2)) / 2, by erfc(z) = exp(-z^2) times a polynomial of 1 / (1 + p z): Abramowitz and Stegun
   7.1.26, within 1.5e-7. */
INLINE f32x4 gelu_factor4(f32x4 x, f32x4 bell, const ActivationConstants *c) {
  f32x4 z = MUL(wasm_f32x4_abs(x), c->root_half);
  f32x4 t = wasm_f32x4_div(c->exp.one, FMA(z, c->e0, c->exp.one));
  f32x4 p = FMA(t, c->e5, c->e4);
  p = FMA(p, t, c->e3);
  p = FMA(p, t, c->e2);
  p = FMA(p, t, c->e1);
  f32x4 half_erfc = MUL(MUL(MUL(p, t), c->half), bell);
  f32x4 positive = wasm_f32x4_ge(x, CONST(0.0f));
  return wasm_v128_bitselect(SUB(c->exp.one, half_erfc), half_erfc, positive);
}

INLINE f32x4 gelu4(f32x4 x, const ActivationConstants *c) { return MUL(x, gelu_factor4(x, bell4(x, c), c)); }

/* x (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))) / 2, as x sigmoid(2 sqrt(2 / pi) …). */
INLINE f32x4 gelu_new4(f32x4 x, const ActivationConstants *c) {
  return MUL(x, sigmoid4(MUL(x, FMA(MUL(x, x), c->cubic, c->linear)), c));
}

INLINE f32x4 relu4(f32x4 x, const ActivationConstants *c) { return AT_LEAST(x, CONST(0.0f)); }

INLINE f32x4 silu4(f32x4 x, const ActivationConstants *c) { return MUL(x, sigmoid4(x, c)); }

/* rows x (4 vectors) floats in place, rows `stride` floats apart. One function an activation, apart from the product:
   a branch beside the accumulators halves its speed. */
#define ACTIVATE(name)                                                                        \
  NOINLINE void activate_##name(float *y, int stride, int rows, int vectors) {                \
    ActivationConstants c = activation_constants();                                           \
    for (; rows--; y += stride) {                                                             \
      int i = 0;                                                                              \
      NO_UNROLL for (; i + 8 <= 4 * vectors; i += 8) {                                        \
        f32x4 a = LOAD(y + i), b = LOAD(y + i + 4);                                           \
        BOTH_LOADED;                                                                          \
        STORE(y + i, name##4(a, &c));                                                         \
        STORE(y + i + 4, name##4(b, &c));                                                     \
      }                                                                                       \
      if (i < 4 * vectors) STORE(y + i, name##4(LOAD(y + i), &c));                            \
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
