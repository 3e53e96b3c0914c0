// Portable C: the reference of the other paths, and what runs on a processor without them.
#pragma STDC FP_CONTRACT OFF
#include "lanes.h"
#define ANY_WIDTH  // one loop for all widths: unrolling gains nothing here
#define NAME(x) x##_scalar
#define FLOAT_TOKENS 8  // tokens and sums that fit into registers in products with floats
#define FLOAT_SUMS 16
#define WORD_STEP 8  // bytes of activation codes for a word of weight codes
#define PAIR_VECTORS 4  // times four rows: sums of products of pairs that fit into registers
#define ISA_NAME "portable"

INLINE vint dot4(vint sum, vword codes, uint32_t four) {
  uint8_t c[64];
  int8_t a[4];
  int32_t s[16];
  memcpy(c, &codes, 64), memcpy(a, &four, 4), memcpy(s, &sum, 64);
  for (int i = 0; i < 16; i++) for (int b = 0; b < 4; b++) s[i] += c[i * 4 + b] * a[b];
  memcpy(&sum, s, 64);
  return sum;
}

INLINE void store_activations(vint a, vint b, int8_t *codes) { store_shorts(a, codes), store_shorts(b, codes + 32); }

INLINE void dot_codes(const vword words[], const int count, const int tokens, const int8_t *codes, vint dots[]) {
  for (int t = 0; t < tokens; t++) {
    dots[t] = (vint)(0);
    for (int c = 0; c < count * 4; c++) {
      int16_t a;
      memcpy(&a, codes + t * 2 * MK_CELL + c * 2, 2);
      dots[t] += (vint)(words[c / 4] >> (c % 4 * 8) & 255) * a;
    }
  }
}
INLINE vint dot_pairs(vint sum, vword codes, uint32_t two) {
  const vint low = (vint)(codes << 16) >> 16, high = (vint)codes >> 16;
  return (vint)((vword)sum + (vword)(low * (int16_t)two) + (vword)(high * (int16_t)(two >> 16)));  // may wrap around
}
INLINE vfloat halves_to_floats(vhalf h) {
  vfloat v;
  for (int i = 0; i < 16; i++) v[i] = mk_half_to_float(h[i]);
  return v;
}
INLINE vword look_up(vword codes) {
  uint8_t c[64];
  memcpy(c, &codes, 64);
  for (int i = 0; i < 64; i++) c[i] = mk_iq4_codes[c[i]];
  memcpy(&codes, c, 64);
  return codes;
}

#include "product.h"
#include "rows.h"
#include "dense.h"
#include "pages.h"
#include "attention.h"
#include "gradients.h"

#define GEMM_ROWS 4
#define GEMM_PANELS 1
#define GEMM(x) x##_any
#include "gemm.h"
#define GEMM_ENTRY(x) x##_any
#include "table.h"
