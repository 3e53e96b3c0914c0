// AVX-512 with VNNI: one register is sixteen lanes, one instruction four products of bytes per lane.
#if defined(__x86_64__)
#include <immintrin.h>
#pragma STDC FP_CONTRACT OFF
#pragma clang attribute push(__attribute__((target("avx512f,avx512bw,avx512vl,avx512dq,avx512vnni,avx2,fma,f16c"))), \
                             apply_to = function)
#include "lanes.h"
#define NAME(x) x##_avx512
#define ISA_NAME "AVX-512"

INLINE vint dot4(vint sum, vword codes, uint32_t four) {
  return (vint)_mm512_dpbusd_epi32((__m512i)sum, (__m512i)codes, _mm512_set1_epi32((int)four));
}
INLINE vfloat halves_to_floats(vhalf h) { return (vfloat)_mm512_cvtph_ps((__m256i)h); }
INLINE vhalf floats_to_halves(vfloat v) {
  return (vhalf)_mm512_cvtps_ph((__m512)v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
}
INLINE vword look_up(vword codes) {
  const __m512i table = _mm512_broadcast_i32x4(_mm_loadu_si128((const __m128i *)mk_iq4_codes));
  return (vword)_mm512_shuffle_epi8(table, (__m512i)codes);
}

#include "product.h"
#include "rows.h"
#include "attention.h"
#include "table.h"
#pragma clang attribute pop
#endif
