// AVX2 with FMA: sixteen lanes are two registers.
#if defined(__x86_64__)
#include <immintrin.h>
#pragma STDC FP_CONTRACT OFF
#pragma clang attribute push(__attribute__((target("avx2,fma,f16c"))), apply_to = function)
#include "lanes.h"
#define NAME(x) x##_avx2
#define ISA_NAME "AVX2"

typedef struct { __m256i low, high; } pair;
INLINE pair split(vword v) { pair p; memcpy(&p, &v, 64); return p; }
INLINE vword join(__m256i low, __m256i high) { const pair p = {low, high}; vword v; memcpy(&v, &p, 64); return v; }

// vpmaddubsw saturates at 2^15, which two products with an 8-bit code can pass: the top bit is multiplied apart.
INLINE __m256i dot4_half(__m256i sum, __m256i codes, __m256i four) {
  const __m256i ones = _mm256_set1_epi16(1), seven = _mm256_set1_epi8(127);
  const __m256i low = _mm256_maddubs_epi16(_mm256_and_si256(codes, seven), four);
  const __m256i top = _mm256_and_si256(_mm256_srli_epi16(codes, 7), _mm256_set1_epi8(1));
  const __m256i high = _mm256_slli_epi32(_mm256_madd_epi16(_mm256_maddubs_epi16(top, four), ones), 7);
  return _mm256_add_epi32(sum, _mm256_add_epi32(_mm256_madd_epi16(low, ones), high));
}
INLINE vint dot4(vint sum, vword codes, uint32_t four) {
  const pair s = split((vword)sum), c = split(codes);
  const __m256i f = _mm256_set1_epi32((int)four);
  return (vint)join(dot4_half(s.low, c.low, f), dot4_half(s.high, c.high, f));
}
INLINE vfloat halves_to_floats(vhalf h) {
  __m128i parts[2];
  memcpy(parts, &h, 32);
  return (vfloat)join((__m256i)_mm256_cvtph_ps(parts[0]), (__m256i)_mm256_cvtph_ps(parts[1]));
}
INLINE vhalf floats_to_halves(vfloat v) {
  const pair p = split((vword)v);
  const __m128i parts[2] = {_mm256_cvtps_ph((__m256)p.low, _MM_FROUND_TO_NEAREST_INT),
                            _mm256_cvtps_ph((__m256)p.high, _MM_FROUND_TO_NEAREST_INT)};
  vhalf h;
  memcpy(&h, parts, 32);
  return h;
}
INLINE vword look_up(vword codes) {
  const __m256i table = _mm256_broadcastsi128_si256(_mm_loadu_si128((const __m128i *)mk_iq4_codes));
  const pair c = split(codes);
  return join(_mm256_shuffle_epi8(table, c.low), _mm256_shuffle_epi8(table, c.high));
}

#include "product.h"
#include "rows.h"
#include "attention.h"
#include "table.h"
#pragma clang attribute pop
#endif
