// Sixteen lanes as clang vectors; the few operations that need instructions of their own come from the including file
// (avx512.c, avx2.c, scalar.c): store_activations, dot_codes, halves_to_floats, look_up.
#ifndef MK_LANES_H
#define MK_LANES_H
#include <string.h>

#include "formats.h"
#include "halves.h"

// Vectors pass between inlined functions only, so the calling convention never matters.
#pragma clang diagnostic ignored "-Wpsabi"

#define INLINE static inline __attribute__((always_inline))

typedef float vfloat __attribute__((ext_vector_type(16)));
typedef int32_t vint __attribute__((ext_vector_type(16)));
typedef uint32_t vword __attribute__((ext_vector_type(16)));
typedef uint16_t vhalf __attribute__((ext_vector_type(16)));
typedef int16_t vshort __attribute__((ext_vector_type(16)));
typedef uint8_t vbyte __attribute__((ext_vector_type(16)));
typedef int8_t vsbyte __attribute__((ext_vector_type(16)));

INLINE vfloat load_floats(const float *p) { vfloat v; memcpy(&v, p, 64); return v; }
INLINE void store_floats(float *p, vfloat v) { memcpy(p, &v, 64); }
INLINE vword load_words(const void *p) { vword v; memcpy(&v, p, 64); return v; }
INLINE vhalf load_halves(const void *p) { vhalf v; memcpy(&v, p, 32); return v; }
INLINE vfloat all(float x) { return (vfloat)(x); }
INLINE vfloat fma(vfloat x, vfloat y, vfloat z) { return __builtin_elementwise_fma(x, y, z); }
INLINE vfloat larger(vfloat x, vfloat y) { return x > y ? x : y; }
INLINE vfloat smaller(vfloat x, vfloat y) { return x < y ? x : y; }
INLINE vfloat ints_to_floats(vint v) { return __builtin_convertvector(v, vfloat); }

INLINE void store_bytes(vint v, int8_t *p) {
  const vsbyte bytes = __builtin_convertvector(v, vsbyte);
  memcpy(p, &bytes, 16);
}

INLINE void store_shorts(vint v, int8_t *p) {
  const vshort shorts = __builtin_convertvector(v, vshort);
  memcpy(p, &shorts, 32);
}

INLINE uint32_t four_bytes(const int8_t *p) {
  uint32_t four;
  memcpy(&four, p, 4);
  return four;
}

INLINE vfloat bytes_to_floats(const uint8_t *p) {
  vbyte v;
  memcpy(&v, p, 16);
  return __builtin_convertvector(__builtin_convertvector(v, vint), vfloat);
}

INLINE vfloat signed_bytes_to_floats(const uint8_t *p) {
  vsbyte v;
  memcpy(&v, p, 16);
  return __builtin_convertvector(__builtin_convertvector(v, vint), vfloat);
}

// Fixed trees, so that a sum has one value: halves upon halves.
#define FOLD(v, op)                                                                                 \
  do {                                                                                              \
    v = op(v, __builtin_shufflevector(v, v, 8, 9, 10, 11, 12, 13, 14, 15, 0, 1, 2, 3, 4, 5, 6, 7)); \
    v = op(v, __builtin_shufflevector(v, v, 4, 5, 6, 7, 0, 1, 2, 3, 12, 13, 14, 15, 8, 9, 10, 11)); \
    v = op(v, __builtin_shufflevector(v, v, 2, 3, 0, 1, 6, 7, 4, 5, 10, 11, 8, 9, 14, 15, 12, 13)); \
    v = op(v, __builtin_shufflevector(v, v, 1, 0, 3, 2, 5, 4, 7, 6, 9, 8, 11, 10, 13, 12, 15, 14)); \
  } while (0)

INLINE vfloat sum_of(vfloat x, vfloat y) { return x + y; }
INLINE float sum_lanes(vfloat v) { FOLD(v, sum_of); return v[0]; }
INLINE float max_lanes(vfloat v) { FOLD(v, larger); return v[0]; }

// The first `count` < 16 floats, the other lanes `rest`; and back.
#ifdef MASKS
INLINE vfloat load_some(const float *p, size_t count, float rest) {
  return (vfloat)_mm512_mask_loadu_ps((__m512)all(rest), (__mmask16)((1u << count) - 1), p);
}

INLINE void store_some(float *p, vfloat v, size_t count) {
  _mm512_mask_storeu_ps(p, (__mmask16)((1u << count) - 1), (__m512)v);
}
#else
INLINE vfloat load_some(const float *p, size_t count, float rest) {
  float x[16];
  for (size_t i = 0; i < 16; i++) x[i] = i < count ? p[i] : rest;
  return load_floats(x);
}

INLINE void store_some(float *p, vfloat v, size_t count) {
  float x[16];
  store_floats(x, v);
  memcpy(p, x, count * sizeof(float));
}
#endif

// e^x, within 1.5 units in the last place: Cephes' expf polynomial on x − n ln 2. Below −87.3 the result is 0. Answers
// NaN to NaN.
INLINE vfloat exponential(vfloat x) {
  const vfloat round = all(12582912.0f);  // 1.5 × 2^23: adding it rounds to an integer
  const vint tiny = x < all(-87.3f);
  x = smaller(all(88.7f), x);
  const vfloat n = fma(x, all(1.44269504088896341f), round) - round;
  vfloat r = fma(n, all(-0.693359375f), x);
  r = fma(n, all(2.12194440e-4f), r);
  vfloat p = all(1.9875691500e-4f);
  p = fma(p, r, all(1.3981999507e-3f));
  p = fma(p, r, all(8.3334519073e-3f));
  p = fma(p, r, all(4.1665795894e-2f));
  p = fma(p, r, all(1.6666665459e-1f));
  p = fma(p, r, all(5.0000001201e-1f));
  p = fma(p, r * r, r) + all(1.0f);
  // 2^n in two factors, since n may be 128.
  const vint whole = __builtin_convertvector(n, vint), half = whole >> 1;
  const vfloat first = (vfloat)((half + 127) << 23), second = (vfloat)((whole - half + 127) << 23);
  const vfloat y = p * first * second;
  return tiny ? all(0.0f) : y;
}

// Near 0, where 1 − 2 / (e^2x + 1) would lose digits, the odd polynomial of Cephes' tanhf.
INLINE vfloat tanh_lanes(vfloat x) {
  const vfloat a = larger(x, -x), z = x * x;
  vfloat p = all(-5.70498872745e-3f);
  p = fma(p, z, all(2.06390887954e-2f));
  p = fma(p, z, all(-5.37397155531e-2f));
  p = fma(p, z, all(1.33314422036e-1f));
  p = fma(p, z, all(-3.33332819422e-1f));
  const vfloat near = fma(p * z, x, x), far = all(1) - all(2) / (exponential(a + a) + all(1));
  return a < all(0.625f) ? near : (x < all(0) ? -far : far);
}

#endif
