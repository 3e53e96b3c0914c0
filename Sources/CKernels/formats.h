// How each block format lies in a panel. A panel holds 16 rows; a cell 32 columns of them.
//
// Codes of a cell come first, for all cells of the panel: a plane of `low` bits per code, then a plane of `high` bits.
// Word j (0 ..< 8) of a row's cell holds the codes of columns 4j ..< 4j + 4, one per byte. In a 4-bit plane vector i
// carries words i and i + 4 in its low and high nibbles; in a 2-bit plane vector i carries words 4i ..< 4i + 4; in a
// 1-bit plane the one vector carries word j in bit j. Then, on a 64-byte boundary, the scales of all cells.
#ifndef MK_FORMATS_H
#define MK_FORMATS_H
#include "include/CKernels.h"

enum {
  SCALES_HALF,           // per cell: 16 f16 scales
  SCALES_HALF_MINIMUM,   // per cell: 16 f16 scales, 16 f16 minimums
  SCALES_SUPER,          // per 8 cells: 16 f16 scales; per group: 16 signed bytes
  SCALES_SUPER_MINIMUM,  // per 8 cells: 16 f16 scales, 16 f16 minimums; per group: 16 bytes; then 16 bytes of minimums
};

typedef struct {
  int low, high;  // bits of a code in the two planes
  int lookup;     // codes index the table of IQ4
  int group;      // columns that share a scale: 16 or 32
  int offset;     // value = scale × (code − offset)
  int scales;
} mk_format;

#define MK_BLOCK_FORMATS(X)                                        \
  X(q4_0, MK_Q4_0, 4, 0, 0, 32, 8, SCALES_HALF)                    \
  X(q4_1, MK_Q4_1, 4, 0, 0, 32, 0, SCALES_HALF_MINIMUM)            \
  X(q5_0, MK_Q5_0, 4, 1, 0, 32, 16, SCALES_HALF)                   \
  X(q5_1, MK_Q5_1, 4, 1, 0, 32, 0, SCALES_HALF_MINIMUM)            \
  X(q8_0, MK_Q8_0, 8, 0, 0, 32, 128, SCALES_HALF)                  \
  X(q2_k, MK_Q2_K, 2, 0, 0, 16, 0, SCALES_SUPER_MINIMUM)           \
  X(q3_k, MK_Q3_K, 2, 1, 0, 16, 4, SCALES_SUPER)                   \
  X(q4_k, MK_Q4_K, 4, 0, 0, 32, 0, SCALES_SUPER_MINIMUM)           \
  X(q5_k, MK_Q5_K, 4, 1, 0, 32, 0, SCALES_SUPER_MINIMUM)           \
  X(q6_k, MK_Q6_K, 4, 2, 0, 16, 32, SCALES_SUPER)                  \
  X(iq4_nl, MK_IQ4_NL, 4, 0, 1, 32, 128, SCALES_HALF)              \
  X(iq4_xs, MK_IQ4_XS, 4, 0, 1, 32, 128, SCALES_SUPER)

static inline mk_format mk_format_of(mk_format_id id) {
  switch (id) {
#define X(name, id, low, high, lookup, group, offset, scales) \
  case id: return (mk_format){low, high, lookup, group, offset, scales};
    MK_BLOCK_FORMATS(X)
#undef X
    default: return (mk_format){0};
  }
}

/// The values of IQ4_NL and IQ4_XS codes, plus 128 (ggml's kvalues_iq4nl).
static const uint8_t mk_iq4_codes[16] = {1, 24, 45, 63, 79, 93, 106, 118, 129, 141, 153, 166, 181, 197, 217, 241};

static inline size_t mk_code_bytes(mk_format f) { return 64 * (size_t)(f.low + f.high); }

/// Bytes of scales that `cells` cells take.
static inline size_t mk_scale_bytes(mk_format f, size_t cells) {
  const size_t groups = MK_CELL / (size_t)f.group;
  switch (f.scales) {
    case SCALES_HALF: return cells * 32;
    case SCALES_HALF_MINIMUM: return cells * 64;
    case SCALES_SUPER: return cells / 8 * 32 + cells * groups * 16;
    default: return cells / 8 * 64 + cells * groups * 32;
  }
}

static inline size_t mk_scales_at(mk_format f, size_t cells) { return cells * mk_code_bytes(f); }

#endif
