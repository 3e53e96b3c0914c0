// Conversions between f32 and the two 16-bit floats, one value at a time.
#ifndef MK_HALVES_H
#define MK_HALVES_H
#include <stdint.h>
#include <string.h>

static inline float mk_bits_to_float(uint32_t bits) {
  float value;
  memcpy(&value, &bits, 4);
  return value;
}

static inline uint32_t mk_float_to_bits(float value) {
  uint32_t bits;
  memcpy(&bits, &value, 4);
  return bits;
}

static inline float mk_bfloat_to_float(uint16_t half) { return mk_bits_to_float((uint32_t)half << 16); }

static inline float mk_half_to_float(uint16_t half) {
  const uint32_t sign = (uint32_t)(half & 0x8000) << 16, rest = half & 0x7fff;
  // An f16 subnormal is an integer multiple of 2^-24.
  if (rest < 0x0400) return mk_bits_to_float(sign | mk_float_to_bits((float)rest * 0x1p-24f));
  if (rest >= 0x7c00) return mk_bits_to_float(sign | 0x7f800000 | (rest & 0x3ff) << 13);
  return mk_bits_to_float(sign | ((rest << 13) + 0x38000000));
}

/// Rounds to nearest, ties to even.
static inline uint16_t mk_float_to_half(float value) {
  const uint32_t bits = mk_float_to_bits(value), sign = bits >> 16 & 0x8000, rest = bits & 0x7fffffff;
  if (rest > 0x7f800000) return (uint16_t)(sign | 0x7e00 | (rest >> 13 & 0x3ff));
  if (rest >= 0x477ff000) return (uint16_t)(sign | 0x7c00);
  if (rest < 0x38800000) {
    // Adding 0.5 moves a subnormal's bits to the bottom of the mantissa, rounded by the addition itself.
    return (uint16_t)(sign | (mk_float_to_bits(mk_bits_to_float(rest) + 0.5f) - 0x3f000000));
  }
  return (uint16_t)(sign | ((rest - 0x38000000 + 0xfff + (rest >> 13 & 1)) >> 13));
}

#endif
