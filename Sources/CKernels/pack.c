// From ggml's row-by-row blocks to panels of 16 rows, once per weight, when a model is loaded.
#include <string.h>

#include "formats.h"
#include "halves.h"

static size_t round_up_64(size_t bytes) { return (bytes + 63) & ~(size_t)63; }

static size_t float_bytes(mk_format_id id) { return id == MK_F32 ? 4 : 2; }

size_t mk_panel_bytes(mk_format_id id, size_t columns) {
  if (id <= MK_BF16) return round_up_64(columns * MK_LANES * float_bytes(id));
  const mk_format f = mk_format_of(id);
  const size_t cells = columns / MK_CELL;
  return round_up_64(mk_scales_at(f, cells) + mk_scale_bytes(f, cells));
}

// One row's cell, taken out of its block: 32 codes, up to two scales and minimums.
typedef struct {
  uint8_t codes[32];
  uint16_t scale, minimum;           // f16, of the cell or of the super-block
  uint8_t scales[2], minimums[2];    // of the groups, in super-blocks
} row_cell;

#define INLINE static inline __attribute__((always_inline))

INLINE void split_nibbles(const uint8_t *bytes, uint8_t *codes) {
  for (int i = 0; i < 16; i++) codes[i] = bytes[i] & 15, codes[i + 16] = bytes[i] >> 4;
}

INLINE void add_fifth_bits(const uint8_t *bits, uint8_t *codes) {
  uint32_t word, four;
  memcpy(&word, bits, 4);
  for (int j = 0; j < 8; j++) {
    memcpy(&four, codes + 4 * j, 4);
    four |= ((word >> (4 * j) & 15) * 0x00204081u & 0x01010101u) << 4;  // four bits, spread over four bytes
    memcpy(codes + 4 * j, &four, 4);
  }
}

// The packed 6-bit scales and minimums of Q4_K and Q5_K.
INLINE void six_bit_pair(const uint8_t *packed, int i, uint8_t *scale, uint8_t *minimum) {
  if (i < 4) {
    *scale = packed[i] & 63;
    *minimum = packed[i + 4] & 63;
  } else {
    *scale = (uint8_t)((packed[i + 4] & 15) | (packed[i - 4] >> 6 << 4));
    *minimum = (uint8_t)((packed[i + 4] >> 4) | (packed[i] >> 6 << 4));
  }
}

// Cell `cell` of a row in ggml's layout. Offsets inside blocks follow ggml-common.h.
INLINE void take_cell(const mk_format_id id, const uint8_t *row, size_t cell, row_cell *out) {
  const int part = (int)(cell % 8);  // of a 256-column super-block
  const uint8_t *b;
  switch (id) {
    case MK_Q4_0: case MK_IQ4_NL:
      b = row + cell * 18;
      memcpy(&out->scale, b, 2);
      split_nibbles(b + 2, out->codes);
      break;
    case MK_Q4_1:
      b = row + cell * 20;
      memcpy(&out->scale, b, 2), memcpy(&out->minimum, b + 2, 2);
      split_nibbles(b + 4, out->codes);
      break;
    case MK_Q5_0:
      b = row + cell * 22;
      memcpy(&out->scale, b, 2);
      split_nibbles(b + 6, out->codes), add_fifth_bits(b + 2, out->codes);
      break;
    case MK_Q5_1:
      b = row + cell * 24;
      memcpy(&out->scale, b, 2), memcpy(&out->minimum, b + 2, 2);
      split_nibbles(b + 8, out->codes), add_fifth_bits(b + 4, out->codes);
      break;
    case MK_Q8_0:
      b = row + cell * 34;
      memcpy(&out->scale, b, 2);
      for (int i = 0; i < 32; i++) out->codes[i] = b[2 + i] ^ 128;
      break;
    case MK_Q2_K:  // scales[16], qs[64], d, dmin
      b = row + cell / 8 * 84;
      memcpy(&out->scale, b + 80, 2), memcpy(&out->minimum, b + 82, 2);
      for (int i = 0; i < 32; i++) out->codes[i] = b[16 + part / 4 * 32 + i] >> (part % 4 * 2) & 3;
      for (int g = 0; g < 2; g++) {
        out->scales[g] = b[part * 2 + g] & 15, out->minimums[g] = b[part * 2 + g] >> 4;
      }
      break;
    case MK_Q3_K: {  // hmask[32], qs[64], scales[12], d
      b = row + cell / 8 * 110;
      memcpy(&out->scale, b + 108, 2);
      const uint8_t *s = b + 96;
      for (int i = 0; i < 32; i++) {
        out->codes[i] = (uint8_t)((b[32 + part / 4 * 32 + i] >> (part % 4 * 2) & 3) | (b[i] >> part & 1) << 2);
      }
      for (int g = 0; g < 2; g++) {
        const int i = part * 2 + g;
        const int low = i < 8 ? s[i] & 15 : s[i - 8] >> 4;
        out->scales[g] = (uint8_t)((low | (s[8 + i % 4] >> (i / 4 * 2) & 3) << 4) - 32);
      }
      break;
    }
    case MK_Q4_K: case MK_Q5_K: {  // d, dmin, scales[12], (qh[32],) qs[128]
      b = row + cell / 8 * (id == MK_Q4_K ? 144 : 176);
      memcpy(&out->scale, b, 2), memcpy(&out->minimum, b + 2, 2);
      six_bit_pair(b + 4, part, out->scales, out->minimums);
      const uint8_t *q = b + (id == MK_Q4_K ? 16 : 48) + part / 2 * 32;
      for (int i = 0; i < 32; i++) out->codes[i] = q[i] >> (part % 2 * 4) & 15;
      if (id == MK_Q5_K) {
        for (int i = 0; i < 32; i++) out->codes[i] |= (uint8_t)((b[16 + i] >> part & 1) << 4);
      }
      break;
    }
    case MK_Q6_K: {  // ql[128], qh[64], scales[16], d
      b = row + cell / 8 * 210;
      memcpy(&out->scale, b + 208, 2);
      const int half = part / 4, quarter = part % 4;
      const uint8_t *low = b + half * 64 + quarter % 2 * 32, *high = b + 128 + half * 32;
      for (int i = 0; i < 32; i++) {
        out->codes[i] = (uint8_t)((low[i] >> (quarter / 2 * 4) & 15) | (high[i] >> (quarter * 2) & 3) << 4);
      }
      for (int g = 0; g < 2; g++) out->scales[g] = b[192 + part * 2 + g];
      break;
    }
    case MK_IQ4_XS: {  // d, scales_h, scales_l[4], qs[128]
      b = row + cell / 8 * 136;
      memcpy(&out->scale, b, 2);
      uint16_t high;
      memcpy(&high, b + 2, 2);
      out->scales[0] = (uint8_t)(((b[4 + part / 2] >> (part % 2 * 4) & 15) | (high >> (part * 2) & 3) << 4) - 32);
      split_nibbles(b + 8 + part * 16, out->codes);
      break;
    }
    default: break;
  }
}

INLINE void put_planes(const mk_format f, const uint32_t words[8][MK_LANES], uint32_t *planes) {
  const uint32_t mask = f.low == 8 ? ~0u : (f.low == 4 ? 0x0f0f0f0fu : 0x03030303u);
  const int words_per_vector = 8 / f.low, shared = f.low == 4 ? 4 : 1;
  for (int v = 0; v < f.low; v++) {
    for (int r = 0; r < MK_LANES; r++) {
      uint32_t packed = 0;
      for (int i = 0; i < words_per_vector; i++) {
        const int j = f.low == 4 ? v + i * shared : v * words_per_vector + i;
        packed |= (words[j][r] & mask) << (i * f.low);
      }
      planes[v * MK_LANES + r] = packed;
    }
  }
  planes += f.low * MK_LANES;
  for (int v = 0; v < f.high; v++) {
    const int per_vector = 8 / f.high;
    const uint32_t high_mask = f.high == 2 ? 0x03030303u : 0x01010101u;
    for (int r = 0; r < MK_LANES; r++) {
      uint32_t packed = 0;
      for (int i = 0; i < per_vector; i++) {
        packed |= (words[v * per_vector + i][r] >> f.low & high_mask) << (i * f.high);
      }
      planes[v * MK_LANES + r] = packed;
    }
  }
}

INLINE void pack_blocks(const mk_format_id id, const uint8_t *rows, size_t row_bytes, int row_count, size_t columns,
                        uint8_t *panel) {
  const mk_format f = mk_format_of(id);
  const size_t cells = columns / MK_CELL, groups = MK_CELL / (size_t)f.group;
  uint8_t *scales = panel + mk_scales_at(f, cells);
  for (size_t cell = 0; cell < cells; cell++) {
    row_cell taken = {0};
    uint32_t words[8][MK_LANES];
    uint16_t halves[2][MK_LANES] = {{0}};
    uint8_t small[2][2][MK_LANES] = {{{0}}};
    memset(words, 0, sizeof words);
    for (int r = 0; r < row_count; r++) {
      take_cell(id, rows + (size_t)r * row_bytes, cell, &taken);
      uint32_t row_words[8];
      memcpy(row_words, taken.codes, 32);
      for (int j = 0; j < 8; j++) words[j][r] = row_words[j];
      halves[0][r] = taken.scale, halves[1][r] = taken.minimum;
      for (size_t g = 0; g < groups; g++) {
        small[0][g][r] = taken.scales[g], small[1][g][r] = taken.minimums[g];
      }
    }
    put_planes(f, (const uint32_t(*)[MK_LANES])words, (uint32_t *)(panel + cell * mk_code_bytes(f)));
    const int minimums = f.scales == SCALES_HALF_MINIMUM || f.scales == SCALES_SUPER_MINIMUM;
    if (f.scales == SCALES_HALF || f.scales == SCALES_HALF_MINIMUM || cell % 8 == 0) {
      for (int i = 0; i <= minimums; i++) memcpy(scales, halves[i], 32), scales += 32;
    }
    if (f.scales == SCALES_SUPER || f.scales == SCALES_SUPER_MINIMUM) {
      for (size_t g = 0; g < groups; g++) {
        for (int i = 0; i <= minimums; i++) memcpy(scales, small[i][g], 16), scales += 16;
      }
    }
  }
}

void mk_pack_panel(mk_format_id id, const void *rows, size_t row_bytes, int row_count, size_t columns, void *panel) {
  switch (id) {  // the format is a constant in each case, and its planes are unrolled
#define CASE(name, id, ...) \
  case id: pack_blocks(id, rows, row_bytes, row_count, columns, panel); return;
    MK_BLOCK_FORMATS(CASE)
#undef CASE
    default: break;
  }
  const uint8_t *source = rows;
  if (id == MK_F32) {
    uint32_t *out = panel, value;
    for (size_t c = 0; c < columns; c++) {
      for (int r = 0; r < MK_LANES; r++) {
        value = 0;
        if (r < row_count) memcpy(&value, source + (size_t)r * row_bytes + c * 4, 4);
        out[c * MK_LANES + (size_t)r] = value;
      }
    }
  } else {
    uint16_t *out = panel, value;
    for (size_t c = 0; c < columns; c++) {
      for (int r = 0; r < MK_LANES; r++) {
        value = 0;
        if (r < row_count) memcpy(&value, source + (size_t)r * row_bytes + c * 2, 2);
        out[c * MK_LANES + (size_t)r] = value;
      }
    }
  }
}

static int code_of(mk_format f, const uint8_t *cell, int lane, int column) {
  const int j = column / 4, byte = lane * 4 + column % 4;
  int code;
  if (f.low == 8) code = cell[j * 64 + byte];
  else if (f.low == 4) code = cell[j % 4 * 64 + byte] >> (j / 4 * 4) & 15;
  else code = cell[j / 4 * 64 + byte] >> (j % 4 * 2) & 3;
  const uint8_t *high = cell + f.low * 64;
  if (f.high == 1) code |= (high[byte] >> j & 1) << f.low;
  if (f.high == 2) code |= (high[j / 4 * 64 + byte] >> (j % 4 * 2) & 3) << f.low;
  return f.lookup ? mk_iq4_codes[code] : code;
}

void mk_unpack_row(mk_format_id id, const void *panel, int lane, size_t columns, float *values) {
  if (id <= MK_BF16) {
    for (size_t c = 0; c < columns; c++) {
      const size_t i = c * MK_LANES + (size_t)lane;
      values[c] = id == MK_F32   ? ((const float *)panel)[i]
                  : id == MK_F16 ? mk_half_to_float(((const uint16_t *)panel)[i])
                                 : mk_bfloat_to_float(((const uint16_t *)panel)[i]);
    }
    return;
  }
  const mk_format f = mk_format_of(id);
  const size_t cells = columns / MK_CELL;
  const uint8_t *scales = (const uint8_t *)panel + mk_scales_at(f, cells);
  float scale = 0, minimum = 0;
  for (size_t cell = 0; cell < cells; cell++) {
    const int minimums = f.scales == SCALES_HALF_MINIMUM || f.scales == SCALES_SUPER_MINIMUM;
    const int super = f.scales == SCALES_SUPER || f.scales == SCALES_SUPER_MINIMUM;
    if (!super || cell % 8 == 0) {
      scale = mk_half_to_float(((const uint16_t *)scales)[lane]), scales += 32;
      if (minimums) minimum = mk_half_to_float(((const uint16_t *)scales)[lane]), scales += 32;
    }
    for (int g = 0; g < MK_CELL / f.group; g++) {
      float d = scale, m = minimum;
      if (super) {
        d *= minimums ? (float)scales[lane] : (float)(int8_t)scales[lane];
        scales += 16;
        if (minimums) m *= -(float)scales[lane], scales += 16;
      }
      for (int c = g * f.group; c < (g + 1) * f.group; c++) {
        const int code = code_of(f, (const uint8_t *)panel + cell * mk_code_bytes(f), lane, c) - f.offset;
        const float product = d * (float)code;
        values[cell * MK_CELL + (size_t)c] = minimums ? product + m : product;
      }
    }
  }
}
