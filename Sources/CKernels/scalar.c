// Portable C: the reference of the other paths, and what runs on a processor without them.
#pragma STDC FP_CONTRACT OFF
#include "lanes.h"
#define ANY_WIDTH  // one loop for all widths: unrolling gains nothing here
#define NAME(x) x##_scalar
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
INLINE vfloat halves_to_floats(vhalf h) {
  vfloat v;
  for (int i = 0; i < 16; i++) v[i] = mk_half_to_float(h[i]);
  return v;
}
INLINE vhalf floats_to_halves(vfloat v) {
  vhalf h;
  for (int i = 0; i < 16; i++) h[i] = mk_float_to_half(v[i]);
  return h;
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
#include "attention.h"
#include "table.h"
