/* What the machine can do at most, for the benchmarks to compare with: not part of kernels.c, so that nobody downloads
   it. */
#include "simd.h"

/* Chains of multiply and add, each in a register: enough to hide both latencies where they are two instructions. */
enum { CHAINS = 12 };
/* Links of each chain in a unit. */
enum { LINKS = 4096 };
/* Links between two looks at the loop's counter. */
enum { UNROLLED = 4 };

typedef struct {
  float *sums; /* [CHAINS, 4]: where the chains begin, and where they end */
  int units;
  float x, y;
} PeakTask;

EXPORT(peak_units) int peak_units(const PeakTask *t) { return t->units; }
EXPORT(peak_operations) int peak_operations(void) { return 2 * 4 * CHAINS * LINKS; }

EXPORT(peak) void peak(const PeakTask *t, int begin, int end, void *own) {
  f32x4 sum[CHAINS], x = SPLAT(t->x), y = SPLAT(t->y);
  UNROLL for (int i = 0; i < CHAINS; i++) sum[i] = LOAD(t->sums + 4 * i);
  NO_UNROLL for (int link = begin * (LINKS / UNROLLED); link < end * (LINKS / UNROLLED); link++)
    UNROLL for (int again = 0; again < UNROLLED; again++)
      UNROLL for (int i = 0; i < CHAINS; i++) sum[i] = FMA(sum[i], x, y);
  UNROLL for (int i = 0; i < CHAINS; i++) STORE(t->sums + 4 * i, sum[i]);
}

/* Bytes of a unit. */
enum { BLOCK = 65536 };
/* Vectors in flight. */
enum { LANES = 8 };

typedef struct {
  const float *from; /* units * BLOCK bytes */
  int units;
  float *mixed; /* [4]: something that depends on every byte */
} StreamTask;

EXPORT(stream_units) int stream_units(const StreamTask *t) { return t->units; }
EXPORT(stream_bytes) int stream_bytes(void) { return BLOCK; }

EXPORT(stream) void stream(const StreamTask *t, int begin, int end, void *own) {
  const float *from = t->from + (long)begin * (BLOCK / 4), *behind = t->from + (long)end * (BLOCK / 4);
  f32x4 mixed[LANES];
  UNROLL for (int i = 0; i < LANES; i++) mixed[i] = CONST(0.0f);
  NO_UNROLL for (; from < behind; from += 4 * LANES)
    UNROLL for (int i = 0; i < LANES; i++) mixed[i] = wasm_v128_xor(mixed[i], LOAD(from + 4 * i));
  UNROLL for (int i = 1; i < LANES; i++) mixed[0] = wasm_v128_xor(mixed[0], mixed[i]);
  STORE(t->mixed, mixed[0]);
}
