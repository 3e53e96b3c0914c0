// AVX2 with FMA: sixteen lanes are two registers.
#if defined(__x86_64__)
#include <immintrin.h>
#pragma STDC FP_CONTRACT OFF
#pragma clang attribute push(__attribute__((target("avx2,fma,f16c"))), apply_to = function)
#include "lanes.h"
#define NAME(x) x##_avx2
#define FLOAT_TOKENS 4  // tokens and sums that fit into registers in products with floats
#define FLOAT_SUMS 4
#define WORD_STEP 8  // bytes of activation codes for a word of weight codes
#define PAIR_VECTORS 1  // times four rows: sums of products of pairs that fit into registers
#define ISA_NAME "AVX2"

typedef struct { __m256i low, high; } pair;
INLINE pair split(vword v) { pair p; memcpy(&p, &v, 64); return p; }
INLINE vword join(__m256i low, __m256i high) { const pair p = {low, high}; vword v; memcpy(&v, &p, 64); return v; }

INLINE __m256i multiply_pairs(__m256i sum, __m256i codes, __m256i pair) {
  return _mm256_add_epi32(sum, _mm256_madd_epi16(codes, pair));
}
// Codes of columns 4j, 4j + 1 and of 4j + 2, 4j + 3 as pairs of 16 bits.
INLINE __m256i first_pairs(__m256i words) {
  return _mm256_shuffle_epi8(words, _mm256_broadcastsi128_si256(_mm_setr_epi8(
      0, -1, 1, -1, 4, -1, 5, -1, 8, -1, 9, -1, 12, -1, 13, -1)));
}
INLINE __m256i last_pairs(__m256i words) {
  return _mm256_shuffle_epi8(words, _mm256_broadcastsi128_si256(_mm_setr_epi8(
      2, -1, 3, -1, 6, -1, 7, -1, 10, -1, 11, -1, 14, -1, 15, -1)));
}

// Activation codes are whole 16-bit numbers here: the one multiplication of AVX2 that cannot saturate takes those.
INLINE void store_activations(vint a, vint b, int8_t *codes) { store_shorts(a, codes), store_shorts(b, codes + 32); }

INLINE void dot_codes(const vword words[], const int count, const int tokens, const int8_t *codes, vint dots[]) {
  __m256i low[2], high[2];
  for (int t = 0; t < tokens; t++) low[t] = high[t] = _mm256_setzero_si256();
  for (int j = 0; j < count; j++) {
    const pair w = split(words[j]);
    for (int part = 0; part < 2; part++) {
      const __m256i rows = part == 0 ? first_pairs(w.low) : last_pairs(w.low);
      const __m256i more = part == 0 ? first_pairs(w.high) : last_pairs(w.high);
      for (int t = 0; t < tokens; t++) {
        const __m256i a = _mm256_set1_epi32((int)four_bytes(codes + t * 2 * MK_CELL + j * 8 + part * 4));
        low[t] = multiply_pairs(low[t], rows, a), high[t] = multiply_pairs(high[t], more, a);
      }
    }
  }
  for (int t = 0; t < tokens; t++) dots[t] = (vint)join(low[t], high[t]);
}
INLINE vint dot4(vint sum, vword codes, uint32_t four) {  // of peak_int8
  const pair s = split((vword)sum), c = split(codes);
  const __m256i f = _mm256_set1_epi32((int)four), ones = _mm256_set1_epi16(1);
  return (vint)join(_mm256_add_epi32(s.low, _mm256_madd_epi16(_mm256_maddubs_epi16(c.low, f), ones)),
                    _mm256_add_epi32(s.high, _mm256_madd_epi16(_mm256_maddubs_epi16(c.high, f), ones)));
}
INLINE vint dot_pairs(vint sum, vword codes, uint32_t two) {
  const pair s = split((vword)sum), c = split(codes);
  const __m256i t = _mm256_set1_epi32((int)two);
  return (vint)join(multiply_pairs(s.low, c.low, t), multiply_pairs(s.high, c.high, t));
}
INLINE vfloat halves_to_floats(vhalf h) {
  __m128i parts[2];
  memcpy(parts, &h, 32);
  return (vfloat)join((__m256i)_mm256_cvtph_ps(parts[0]), (__m256i)_mm256_cvtph_ps(parts[1]));
}
INLINE vword look_up(vword codes) {
  const __m256i table = _mm256_broadcastsi128_si256(_mm_loadu_si128((const __m128i *)mk_iq4_codes));
  const pair c = split(codes);
  return join(_mm256_shuffle_epi8(table, c.low), _mm256_shuffle_epi8(table, c.high));
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
#pragma clang attribute pop
#endif
