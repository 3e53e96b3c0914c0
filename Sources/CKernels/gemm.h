// Products of two matrices that are both new, as in training. Both operands are packed into panels of 16 rows; those of
// the right one are the lanes of a vector, single numbers of the left one are spread over all lanes. Sums run over the
// columns in their order, so a result does not depend on how the work is cut.
//
// A panel holds `[columns][16]` floats, or `[(columns + 1) / 2][16]` pairs of bf16, whose sums are in f32.
//
// The including file says how many left rows and right panels fit into registers, GEMM_ROWS and GEMM_PANELS, and with
// which kind of pairs these loops are to run: GEMM(x) is x_any, or x_native where there are row_pairs_native, ….

#ifndef MK_GEMM_ONCE
#define MK_GEMM_ONCE
INLINE vword round_to_bf16(vfloat x) {  // to nearest, ties to even; what is not a number stays none
  const vword bits = (vword)x, rounded = bits + 0x7fff + (bits >> 16 & 1);
  return (x == x ? rounded : bits | 0x400000) >> 16;
}

// 16 rows of 16 words become 16 columns: neighbours change places, then pairs of them, then fours, then eights.
#define TURN(distance, low, high)                             \
  _Pragma("clang loop unroll(full)") for (int i = 0; i < 16; i++) { \
    if (i & distance) continue;                               \
    const vword x = v[i], y = v[i + distance];                \
    v[i] = __builtin_shufflevector(x, y, low);                \
    v[i + distance] = __builtin_shufflevector(x, y, high);    \
  }
#define LANES(...) __VA_ARGS__
INLINE void turn_block(vword v[16]) {
  TURN(1, LANES(0, 16, 2, 18, 4, 20, 6, 22, 8, 24, 10, 26, 12, 28, 14, 30),
       LANES(1, 17, 3, 19, 5, 21, 7, 23, 9, 25, 11, 27, 13, 29, 15, 31))
  TURN(2, LANES(0, 1, 16, 17, 4, 5, 20, 21, 8, 9, 24, 25, 12, 13, 28, 29),
       LANES(2, 3, 18, 19, 6, 7, 22, 23, 10, 11, 26, 27, 14, 15, 30, 31))
  TURN(4, LANES(0, 1, 2, 3, 16, 17, 18, 19, 8, 9, 10, 11, 24, 25, 26, 27),
       LANES(4, 5, 6, 7, 20, 21, 22, 23, 12, 13, 14, 15, 28, 29, 30, 31))
  TURN(8, LANES(0, 1, 2, 3, 4, 5, 6, 7, 16, 17, 18, 19, 20, 21, 22, 23),
       LANES(8, 9, 10, 11, 12, 13, 14, 15, 24, 25, 26, 27, 28, 29, 30, 31))
}
#undef TURN
#undef LANES

// Pairs where the processor has no instructions for them.
INLINE vword row_pairs_any(vfloat first, vfloat second) {  // 32 neighbours
  const vhalf halves[2] = {__builtin_convertvector(round_to_bf16(first), vhalf),
                           __builtin_convertvector(round_to_bf16(second), vhalf)};
  return load_words(halves);
}
INLINE vword lane_pairs_any(vfloat first, vfloat second) { return round_to_bf16(first) | round_to_bf16(second) << 16; }
INLINE vfloat add_pairs_any(vfloat sum, vfloat x, vfloat y) {
  const vword a = (vword)x, b = (vword)y;
  sum = fma((vfloat)(a << 16), (vfloat)(b << 16), sum);
  return fma((vfloat)(a & 0xffff0000u), (vfloat)(b & 0xffff0000u), sum);
}

INLINE vfloat load_present(const float *p, size_t count) { return count < 16 ? load_some(p, count, 0) : load_floats(p); }
#endif

// Up to 16 rows, `stride` apart, as the lanes of a panel, and with their columns as the lanes of `turned`: the words of
// these rows in panels that are `apart` floats apart. Either may be NULL. What is missing becomes zeros.

// Rows become pairs first: so memory is read as it lies, not 16 places at a time, and both forms are made of what is near.
INLINE void GEMM(pack_pairs)(const float *x, size_t stride, size_t rows, size_t columns, float *panel, float *turned,
                             size_t apart) {
  enum { SOME = 1536 };
  _Alignas(64) uint16_t near[16][SOME + 32];  // rows do not share their places in a cache
  for (size_t first = 0; first < columns; first += SOME, x += SOME) {
    const size_t count = columns - first < SOME ? columns - first : SOME;
    for (size_t r = 0; r < 16; r++) {
      for (size_t c = 0; c < count; c += 32) {
        const float *const at = x + r * stride + c;
        const size_t here = count - c;
        vword words = (vword)(0);
        if (r >= rows) {}
        else if (here >= 32) words = GEMM(row_pairs)(load_floats(at), load_floats(at + 16));
        else if (here > 16) words = GEMM(row_pairs)(load_floats(at), load_some(at + 16, here - 16, 0));
        else words = GEMM(row_pairs)(load_present(at, here), all(0));
        memcpy(near[r] + c, &words, 64);
      }
    }
    for (size_t c = 0; c < count && panel; c += 32, panel += 256) {
      const size_t words = count - c < 32 ? (count - c + 1) / 2 : 16;
      vword v[16];
      for (size_t r = 0; r < 16; r++) v[r] = load_words(near[r] + c);
      turn_block(v);
      for (size_t j = 0; j < 16; j++) if (j < words) memcpy(panel + j * 16, &v[j], 64);
    }
    for (size_t c = 0; c < count && turned; c += 16, turned += apart) {
      for (size_t r = 0; r < rows; r += 2) {
        const vword low = __builtin_convertvector(load_halves(near[r] + c), vword);
        const vword pair = low | __builtin_convertvector(load_halves(near[r + 1] + c), vword) << 16;
        memcpy(turned + r * 8, &pair, 64);
      }
    }
  }
}

INLINE void GEMM(pack_floats)(const float *x, size_t stride, size_t rows, size_t columns, float *panel, float *turned,
                              size_t apart) {
  for (size_t c = 0; c < columns; c += 16) {
    const size_t here = columns - c < 16 ? columns - c : 16;
    vword v[16];
    for (size_t r = 0; r < 16; r++) v[r] = r < rows ? (vword)load_present(x + r * stride + c, here) : (vword)(0);
    for (size_t r = 0; r < rows && turned; r++) memcpy(turned + c / 16 * apart + r * 16, &v[r], 64);
    turn_block(v);
    for (size_t j = 0; j < 16 && panel; j++) if (j < here) memcpy(panel + (c + j) * 16, &v[j], 64);
  }
}

static void GEMM(pack_both)(bool pairs, const float *x, size_t stride, size_t rows, size_t columns, float *panel,
                            float *turned, size_t apart) {
  if (pairs) GEMM(pack_pairs)(x, stride, rows, columns, panel, turned, apart);
  else GEMM(pack_floats)(x, stride, rows, columns, panel, turned, apart);
}

// Lanes lie side by side in x, columns are `stride` apart.
INLINE void GEMM(pack_columns)(const bool pairs, const float *x, size_t stride, size_t rows, size_t columns,
                               float *panel) {
  for (size_t c = 0; c < columns; c += pairs ? 2 : 1, panel += 16) {
    __builtin_prefetch(x + (c + 24) * stride), __builtin_prefetch(x + (c + 25) * stride);
    const vfloat first = load_present(x + c * stride, rows);
    const bool both = pairs && c + 1 < columns;
    const vfloat second = both ? load_present(x + (c + 1) * stride, rows) : all(0);
    const vword word = pairs ? GEMM(lane_pairs)(first, second) : (vword)first;
    memcpy(panel, &word, 64);
  }
}

static void GEMM(pack)(bool pairs, const float *x, size_t row_stride, size_t column_stride, size_t rows, size_t columns,
                       float *panel) {
  if (column_stride == 1) {
    GEMM(pack_both)(pairs, x, row_stride, rows, columns, panel, NULL, 0);
  } else {
    if (pairs) GEMM(pack_columns)(true, x, column_stride, rows, columns, panel);
    else GEMM(pack_columns)(false, x, column_stride, rows, columns, panel);
  }
}

// Sums stay in registers from the first to the last: every loop over them is unrolled. Vectors of the right operand are
// `apart` floats from one panel to the next and `step` from one word to the next; with `fits` the last one can be read
// whole.
#define EACH _Pragma("clang loop unroll(full)") for
INLINE void GEMM(tile)(const bool pairs, const int panels, const bool fits, const float *left, int rows,
                       const float *right, size_t apart, size_t step, size_t words, float *y, size_t stride,
                       size_t width, bool add) {
  const size_t last = width - (size_t)(panels - 1) * 16;  // lanes of the last panel; the others are whole
  vfloat sums[GEMM_ROWS][GEMM_PANELS];
  EACH (int r = 0; r < GEMM_ROWS; r++) EACH (int p = 0; p < panels; p++) sums[r][p] = all(0);
  for (size_t k = 0; k < words; k++) {
    vfloat v[GEMM_PANELS];
    EACH (int p = 0; p < panels; p++) {
      const float *const at = right + (size_t)p * apart + k * step;
      v[p] = fits || p < panels - 1 ? load_floats(at) : load_some(at, last, 0);
    }
    EACH (int r = 0; r < GEMM_ROWS; r++) {
      const vfloat x = all(left[k * 16 + (size_t)r]);
      EACH (int p = 0; p < panels; p++) {
        sums[r][p] = pairs ? GEMM(add_pairs)(sums[r][p], x, v[p]) : fma(x, v[p], sums[r][p]);
      }
    }
  }
  EACH (int r = 0; r < GEMM_ROWS; r++) {
    if (r >= rows) continue;
    EACH (int p = 0; p < panels; p++) {
      float *const at = y + (size_t)r * stride + (size_t)p * 16;
      const vfloat sum = sums[r][p];
      if (p < panels - 1 || last >= 16) store_floats(at, add ? sum + load_floats(at) : sum);
      else store_some(at, add ? sum + load_some(at, last, 0) : sum, last);
    }
  }
}
#undef EACH

INLINE void GEMM(some)(const bool pairs, const float *left, size_t left_words, size_t rows, const float *right,
                       size_t right_rows, size_t columns, float *y, size_t stride, bool add) {
  const size_t words = pairs ? (columns + 1) / 2 : columns, panel = words * 16;
  for (size_t first = 0; first < right_rows; first += GEMM_PANELS * 16) {
    const size_t width = right_rows - first;
    for (size_t r = 0; r < rows; r += GEMM_ROWS) {
      const float *const a = left + r / 16 * left_words * 16 + r % 16, *const b = right + first * words;
      const int present = rows - r < GEMM_ROWS ? (int)(rows - r) : GEMM_ROWS;
      float *const out = y + r * stride + first;
#define TILE(n) GEMM(tile)(pairs, n, true, a, present, b, panel, 16, words, out, stride, width, add)
      if (GEMM_PANELS == 1 || width <= 16) TILE(1);
      else if (GEMM_PANELS == 2 || width <= 32) TILE(2);
      else TILE(GEMM_PANELS);
#undef TILE
    }
  }
}

static void GEMM(gemm_rows)(const float *left, size_t rows, const float *right, size_t right_stride, size_t count,
                            size_t columns, float *y, size_t stride, bool add) {
  for (size_t first = 0; first < columns; first += GEMM_PANELS * 16) {
    const size_t width = columns - first;
    for (size_t r = 0; r < rows; r += GEMM_ROWS) {
      const float *const a = left + r / 16 * count * 16 + r % 16;
      const int present = rows - r < GEMM_ROWS ? (int)(rows - r) : GEMM_ROWS;
#define TILE(n, fits) \
  GEMM(tile)(false, n, fits, a, present, right + first, 16, right_stride, count, y + r * stride + first, stride, width, add)
      if (width >= GEMM_PANELS * 16) TILE(GEMM_PANELS, true);
      else if (GEMM_PANELS == 1 || width < 16) TILE(1, false);
      else if (width == 16) TILE(1, true);
      else if (GEMM_PANELS == 2 || width < 32) TILE(2, false);
      else if (width == 32) TILE(2, true);
      else TILE(GEMM_PANELS, false);
#undef TILE
    }
  }
}

// 16 × 32 independent multiply-adds of bf16 a round, in registers.
static void GEMM(peak_pairs)(size_t rounds, float *sink) {
  vfloat sums[16];
  for (int i = 0; i < 16; i++) sums[i] = all(sink[i]);
  const vfloat x = all(sink[0]);
  vfloat y = all(sink[1]);
  for (size_t n = 0; n < rounds; n++) {
    for (int i = 0; i < 16; i++) sums[i] = GEMM(add_pairs)(sums[i], x, y);
    y = (vfloat)((vword)y + 0x10001);  // so that no round is like the one before
  }
  for (int i = 0; i < 16; i++) sink[i] = sum_lanes(sums[i]);
}

static void GEMM(gemm)(bool pairs, const float *left, size_t left_words, size_t rows, const float *right,
                       size_t right_rows, size_t columns, float *y, size_t stride, bool add) {
  if (pairs) GEMM(some)(true, left, left_words, rows, right, right_rows, columns, y, stride, add);
  else GEMM(some)(false, left, left_words, rows, right, right_rows, columns, y, stride, add);
}
