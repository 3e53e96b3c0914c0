// AVX-512 with VNNI: one register is sixteen lanes, one instruction four products of bytes per lane.
#if defined(__x86_64__)
#include <immintrin.h>
#pragma STDC FP_CONTRACT OFF
#pragma clang attribute push(__attribute__((target("avx512f,avx512bw,avx512vl,avx512dq,avx512vnni,avx2,fma,f16c"))), \
                             apply_to = function)
#define MASKS  // loads and stores of some lanes
#include "lanes.h"
#define NAME(x) x##_avx512
#define FLOAT_TOKENS 8  // tokens and sums that fit into registers in products with floats
#define FLOAT_SUMS 24
#define WORD_STEP 4  // bytes of activation codes for a word of weight codes
#define PAIR_VECTORS 4  // times four rows: sums of products of pairs that fit into registers
#define ISA_NAME "AVX-512"

INLINE vint dot4(vint sum, vword codes, uint32_t four) {
  return (vint)_mm512_dpbusd_epi32((__m512i)sum, (__m512i)codes, _mm512_set1_epi32((int)four));
}

// Activation codes are split into 256 × high + low, both signed bytes: a plane of high bytes, then one of low bytes.
INLINE void store_activations(vint a, vint b, int8_t *codes) {
  const vint ha = (a + 128) >> 8, hb = (b + 128) >> 8;
  store_bytes(ha, codes), store_bytes(hb, codes + 16);
  store_bytes(a - (ha << 8), codes + MK_CELL), store_bytes(b - (hb << 8), codes + MK_CELL + 16);
}

INLINE void dot_codes(const vword words[], const int count, const int tokens, const int8_t *codes, vint dots[]) {
  vint high[2] = {{0}, {0}}, low[2] = {{0}, {0}};
  for (int j = 0; j < count; j++) {
    for (int t = 0; t < tokens; t++) {
      high[t] = dot4(high[t], words[j], four_bytes(codes + t * 2 * MK_CELL + j * 4));
      low[t] = dot4(low[t], words[j], four_bytes(codes + (t * 2 + 1) * MK_CELL + j * 4));
    }
  }
  for (int t = 0; t < tokens; t++) dots[t] = (high[t] << 8) + low[t];
}
INLINE vint dot_pairs(vint sum, vword codes, uint32_t two) {
  return (vint)_mm512_dpwssd_epi32((__m512i)sum, (__m512i)codes, _mm512_set1_epi32((int)two));
}
INLINE vfloat halves_to_floats(vhalf h) { return (vfloat)_mm512_cvtph_ps((__m256i)h); }
INLINE vword look_up(vword codes) {
  const __m512i table = _mm512_broadcast_i32x4(_mm_loadu_si128((const __m128i *)mk_iq4_codes));
  return (vword)_mm512_shuffle_epi8(table, (__m512i)codes);
}

#include "product.h"
#include "rows.h"
#include "dense.h"
#include "pages.h"
#include "attention.h"
#include "gradients.h"

#define GEMM_ROWS 8
#define GEMM_PANELS 3
#define GEMM(x) x##_any
#include "gemm.h"
#undef GEMM
#define GEMM(x) x##_native
#pragma clang attribute pop
#define NATIVE_PAIRS "avx512f,avx512bw,avx512vl,avx512dq,avx512vnni,avx512bf16,avx2,fma,f16c"
#pragma clang attribute push(__attribute__((target(NATIVE_PAIRS))), apply_to = function)
INLINE vword row_pairs_native(vfloat first, vfloat second) {
  return (vword)_mm512_cvtne2ps_pbh((__m512)second, (__m512)first);
}
INLINE vword lane_pairs_native(vfloat first, vfloat second) {
  const __m512i pairs = (__m512i)_mm512_cvtne2ps_pbh((__m512)second, (__m512)first);
  const __m512i order = _mm512_add_epi32(_mm512_set1_epi32(16 << 16), _mm512_mullo_epi32(
      _mm512_set1_epi32(0x10001), _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15)));
  return (vword)_mm512_permutexvar_epi16(order, pairs);
}
INLINE vfloat add_pairs_native(vfloat sum, vfloat x, vfloat y) {
  return (vfloat)_mm512_dpbf16_ps((__m512)sum, (__m512bh)x, (__m512bh)y);
}
#include "gemm.h"
#pragma clang attribute pop
#pragma clang attribute push(__attribute__((target("avx512f,avx512bw,avx512vl,avx512dq,avx512vnni,avx2,fma,f16c"))), \
                             apply_to = function)

// Newer processors multiply pairs with one instruction.
static void pack_avx512(bool pairs, const float *x, size_t row_stride, size_t column_stride, size_t rows, size_t columns,
                        float *panel) {
  (__builtin_cpu_supports("avx512bf16") ? pack_native : pack_any)(
      pairs, x, row_stride, column_stride, rows, columns, panel);
}
static void pack_both_avx512(bool pairs, const float *x, size_t stride, size_t rows, size_t columns, float *panel,
                             float *turned, size_t apart) {
  (__builtin_cpu_supports("avx512bf16") ? pack_both_native : pack_both_any)(
      pairs, x, stride, rows, columns, panel, turned, apart);
}
static void gemm_avx512(bool pairs, const float *left, size_t left_words, size_t rows, const float *right,
                        size_t right_rows, size_t columns, float *y, size_t stride, bool add) {
  (__builtin_cpu_supports("avx512bf16") ? gemm_native : gemm_any)(
      pairs, left, left_words, rows, right, right_rows, columns, y, stride, add);
}

static void gemm_rows_avx512(const float *left, size_t rows, const float *right, size_t right_stride, size_t count,
                             size_t columns, float *y, size_t stride, bool add) {
  gemm_rows_any(left, rows, right, right_stride, count, columns, y, stride, add);
}

static void peak_pairs_avx512(size_t rounds, float *sink) {
  (__builtin_cpu_supports("avx512bf16") ? peak_pairs_native : peak_pairs_any)(rounds, sink);
}

#define GEMM_ENTRY(x) x##_avx512
#include "table.h"
#pragma clang attribute pop
#endif
