/* An id of each row of logits: the greatest, or one that is drawn. */
#include "exp.h"

typedef struct {
  const float *logits; /* [rows, vocabulary] */
  const float *places; /* [rows], in [0, 1), or 0: the greatest is taken */
  int *ids;            /* [rows]; -1 where not all logits of a row are finite */
  int rows, vocabulary;
  int below;           /* only ids below this */
  int top_k;           /* only the greatest so many, and those that tie with the last of them */
  float temperature;
} ChooseTokenTask;

/* What a unit keeps for itself. */
typedef struct {
  int counts[256];
  float chances[]; /* [below, to a multiple of 4] */
} ChooseTokenScratch;

/* An infinity or NaN times 0 is NaN, which no sum loses. */
NOINLINE int all_finite(const float *x, int n) {
  f32x4 a = CONST(0.0f), b = a, zero = a;
  int i = 0;
  for (; i + 8 <= n; i += 8) {
    a = ADD(a, MUL(LOAD(x + i), zero));
    b = ADD(b, MUL(LOAD(x + i + 4), zero));
  }
  for (; i < n; i++) a = ADD(a, MUL(LOAD_SPLAT(x + i), zero));
  return sum_of(ADD(a, b)) == 0.0f;
}

/* The first place of a value that is there. */
NOINLINE int first_of(const float *x, float value) {
  int i = 0;
  while (x[i] != value) i++;
  return i;
}

/* Unsigned numbers in the order of floats; -0 counts as 0. */
INLINE uint32_t ordered(float x) {
  uint32_t bits;
  __builtin_memcpy(&bits, &x, 4);
  return bits > 0x80000000u ? ~bits : bits | 0x80000000u;
}

/* The k-th greatest of n, eight bits at a time from the highest on: those that agree so far are counted by the next. */
NOINLINE uint32_t kth_greatest(const float *x, int n, int k, int *counts) {
  uint32_t found = 0, known = 0;
  for (int shift = 24; shift >= 0; shift -= 8) {
    for (int bin = 0; bin < 256; bin++) counts[bin] = 0;
    for (int i = 0; i < n; i++) {
      uint32_t number = ordered(x[i]);
      if ((number & known) == found) counts[number >> shift & 255]++;
    }
    uint32_t bin = 255;
    for (; bin > 0 && counts[bin] < k; bin--) k -= counts[bin];
    found |= bin << shift;
    known |= 255u << shift;
  }
  return found;
}

/* exp((x - most) / temperature). */
NOINLINE void chances_of(const float *x, int n, float most, float temperature, float *chances) {
  ExpConstants c = exp_constants();
  f32x4 top = SPLAT(most), t = SPLAT(temperature);
  int i = 0;
  for (; i + 4 <= n; i += 4) STORE(chances + i, exp4(wasm_f32x4_div(SUB(LOAD(x + i), top), t), &c));
  if (i < n) STORE(chances + i, exp4(wasm_f32x4_div(SUB(load_first(x + i, n - i), top), t), &c));
}

/* The first id at which the sum of the chances passes its share; where rounding lets none do so, the last possible. */
NOINLINE int drawn_id(const ChooseTokenTask *t, const float *x, float most, float place, ChooseTokenScratch *own) {
  chances_of(x, t->below, most, t->temperature, own->chances);
  uint32_t least = t->top_k < t->below ? kth_greatest(x, t->below, t->top_k, own->counts) : 0;
  double total = 0.0, sum = 0.0;
  int last = 0;
  for (int id = 0; id < t->below; id++) {
    if (ordered(x[id]) < least) own->chances[id] = 0.0f;
    if (own->chances[id] > 0.0f) last = id;
    total += own->chances[id];
  }
  for (int id = 0; id < last; id++) {
    sum += own->chances[id];
    if (sum > place * total) return id;
  }
  return last;
}

EXPORT(choose_token_units) int choose_token_units(const ChooseTokenTask *t) { return t->rows; }
EXPORT(choose_token_scratch) int choose_token_scratch(const ChooseTokenTask *t) {
  return sizeof(ChooseTokenScratch) + (t->places ? up_to_multiple(t->below, 4) * (int)sizeof(float) : 0);
}
EXPORT(choose_token) void choose_token(const ChooseTokenTask *t, int begin, int end, ChooseTokenScratch *own) {
  for (int row = begin; row < end; row++) {
    const float *x = t->logits + (long)row * t->vocabulary;
    if (!all_finite(x, t->vocabulary)) {
      t->ids[row] = -1;
      continue;
    }
    float most = greatest_of(x, t->below);
    t->ids[row] = t->places ? drawn_id(t, x, most, t->places[row], own) : first_of(x, most);
  }
}
