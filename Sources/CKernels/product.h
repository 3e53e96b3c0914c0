// Weights × activations: panels of 16 rows against a tile of tokens, one lane per row.
//
// For every row and token the operations are the same, in the same order, whatever the tile's width: an exact integer
// sum per group of columns, then one multiply-add (two with minimums) into the row's accumulator.

// Weights stream through once, and a processor's own prefetcher keeps only half a loop this dense supplied. Reading this
// far ahead covers the time that memory takes; panels lie end to end, so it runs into the next one by itself.
INLINE void fetch_ahead(const uint8_t *p, size_t bytes) {
  for (size_t i = 0; i < bytes; i += 64) __builtin_prefetch(p + i + 8192, 0, 3);
}

INLINE void unpack_cell(const mk_format f, const uint8_t *cell, vword words[8]) {
  if (f.low == 8) {
    for (int j = 0; j < 8; j++) words[j] = load_words(cell + 64 * j);
  } else if (f.low == 4) {
    for (int i = 0; i < 4; i++) {
      const vword v = load_words(cell + 64 * i);
      words[i] = v & 0x0f0f0f0fu;
      words[i + 4] = v >> 4 & 0x0f0f0f0fu;
    }
  } else {
    for (int j = 0; j < 8; j++) words[j] = load_words(cell + 64 * (j / 4)) >> (j % 4 * 2) & 0x03030303u;
  }
  const uint8_t *high = cell + 64 * f.low;
  const uint32_t mask = (f.high == 2 ? 0x03030303u : 0x01010101u) << f.low;
  for (int j = 0; j < 8 && f.high; j++) {
    const int bit = f.high == 2 ? j % 4 * 2 : j;
    const vword v = load_words(high + (f.high == 2 ? 64 * (j / 4) : 0));
    words[j] |= (bit <= f.low ? v << (f.low - bit) : v >> (bit - f.low)) & mask;
  }
  for (int j = 0; j < 8 && f.lookup; j++) words[j] = look_up(words[j]);
}

INLINE void block_panel(const mk_format f, const int width, const uint8_t *panel, size_t cells, mk_tile tile,
                        vfloat sums[]) {
  const int groups = MK_CELL / f.group, words_per_group = 8 / groups;
  const bool super = f.scales == SCALES_SUPER || f.scales == SCALES_SUPER_MINIMUM;
  const bool minimums = f.scales == SCALES_HALF_MINIMUM || f.scales == SCALES_SUPER_MINIMUM;
  const uint8_t *scales = panel + mk_scales_at(f, cells);
  vfloat scale = all(0), minimum = all(0);
  for (int t = 0; t < width; t++) sums[t] = all(0);
  for (size_t cell = 0; cell < cells; cell++) {
    vword words[8];
    const uint8_t *code = panel + cell * mk_code_bytes(f);
    fetch_ahead(code, mk_code_bytes(f)), fetch_ahead(scales, 64);
    unpack_cell(f, code, words);
    if (!super || cell % 8 == 0) {
      scale = halves_to_floats(load_halves(scales)), scales += 32;
      if (minimums) minimum = halves_to_floats(load_halves(scales)), scales += 32;
    }
    const int8_t *codes = tile.codes + cell * (size_t)width * 2 * MK_CELL;
    const mk_cell *activations = tile.cells + cell * (size_t)width;
    for (int g = 0; g < groups; g++) {
      vfloat d = scale, m = minimum;
      if (super) {
        d *= minimums ? bytes_to_floats(scales) : signed_bytes_to_floats(scales), scales += 16;
        if (minimums) m *= -bytes_to_floats(scales), scales += 16;
      }
      const int together = width < 2 ? width : 2;  // more chains of sums than one instruction's latency
      for (int t = 0; t < width; t += together) {
        vint dots[2];
        dot_codes(words + g * words_per_group, words_per_group, together,
                  codes + t * 2 * MK_CELL + g * words_per_group * WORD_STEP, dots);
        for (int i = t; i < t + together; i++) {
          const mk_cell *a = activations + i;
          const int32_t sum = groups == 1 ? a->sum : (g == 0 ? a->first_sum : a->sum - a->first_sum);
          const vfloat dot = ints_to_floats(f.offset ? dots[i - t] - (vint)(sum) * f.offset : dots[i - t]);
          sums[i] = fma(dot, d * all(a->scale), sums[i]);
          if (minimums) sums[i] = fma(m, all(groups == 1 ? a->scaled_sum : a->scale * (float)sum), sums[i]);
        }
      }
    }
  }
}

INLINE vfloat load_weights(const mk_format_id id, const uint8_t *panel, size_t column) {
  if (id == MK_F32) return load_floats((const float *)panel + column * MK_LANES);
  const vhalf h = load_halves(panel + column * 2 * MK_LANES);
  if (id == MK_F16) return halves_to_floats(h);
  return (vfloat)(__builtin_convertvector(h, vword) << 16);
}

// `panels` panels side by side hide the latency of the additions when there are few tokens, and share the loads of
// activations when there are many. Tokens `first ..< first + some` of the tile.
INLINE void float_panels(const mk_format_id id, const int panels, const int width, const int first, const int some,
                         const uint8_t *panel, size_t panel_bytes, size_t columns, const float *values, vfloat sums[]) {
  const size_t step = (id == MK_F32 ? 4 : 2) * MK_LANES;
  for (int i = 0; i < panels * some; i++) sums[i] = all(0);
  for (size_t c = 0; c < columns; c++) {
    vfloat w[4];
    for (int p = 0; p < panels; p++) {
      if (first == 0 && c * step % 64 == 0) fetch_ahead(panel + (size_t)p * panel_bytes + c * step, 64);
      w[p] = load_weights(id, panel + (size_t)p * panel_bytes, c);
    }
    for (int t = 0; t < some; t++) {
      const vfloat x = all(values[c * (size_t)width + (size_t)(first + t)]);
      for (int p = 0; p < panels; p++) sums[p * some + t] = fma(w[p], x, sums[p * some + t]);
    }
  }
}

INLINE void store_sums(const vfloat sums[], int tokens, float *y, size_t stride) {
  for (int t = 0; t < tokens; t++) store_floats(y + (size_t)t * stride, sums[t]);
}

INLINE void block_product(const mk_format_id id, const int width, const uint8_t *panels, size_t count, size_t columns,
                          mk_tile tile, int tokens, float *y, size_t stride) {
  const mk_format f = mk_format_of(id);
  const size_t bytes = mk_panel_bytes(id, columns);
  for (size_t p = 0; p < count; p++) {
    vfloat sums[MK_TILE];
    block_panel(f, width, panels + p * bytes, columns / MK_CELL, tile, sums);
    store_sums(sums, tokens, y + p * MK_LANES, stride);
  }
}

INLINE void float_product(const mk_format_id id, const int width, const uint8_t *panels, size_t count, size_t columns,
                          mk_tile tile, int tokens, float *y, size_t stride) {
  const size_t bytes = mk_panel_bytes(id, columns);
  const int some = width > FLOAT_TOKENS ? FLOAT_TOKENS : width;
  const int together = FLOAT_SUMS / some < 4 ? FLOAT_SUMS / some : 4;
  for (size_t p = 0; p < count;) {
    const int here = count - p < (size_t)together ? (int)(count - p) : together;
    for (int first = 0; first < tokens; first += some) {
      const int present = tokens - first < some ? tokens - first : some;
      vfloat sums[FLOAT_SUMS];
#define PANELS(n) float_panels(id, n, width, first, some, panels + p * bytes, bytes, columns, tile.values, sums)
      switch (here) {
        case 1: PANELS(1); break;
        case 2: PANELS(2); break;
        case 3: PANELS(3); break;
        default: PANELS(4); break;
      }
#undef PANELS
      for (int i = 0; i < here; i++) {
        store_sums(sums + i * some, present, y + (size_t)first * stride + (p + (size_t)i) * MK_LANES, stride);
      }
    }
    p += (size_t)here;
  }
}

#ifdef ANY_WIDTH
#define WITH_WIDTH(call) call(tile.width);
#else
#define WITH_WIDTH(call)       \
  switch (tile.width) {        \
    case 1: call(1); break;    \
    case 2: call(2); break;    \
    case 4: call(4); break;    \
    case 8: call(8); break;    \
    default: call(16); break;  \
  }
#endif

#define DEFINE_PRODUCT(name, id, kind)                                                                         \
  static void NAME(product_##name)(const void *panels, size_t count, size_t columns, mk_tile tile, int tokens, \
                                   float *y, size_t stride) {                                                  \
    const mk_format_id format = id;                                                                            \
    WITH_WIDTH(CALL_##kind)                                                                                    \
  }
#define CALL_block_product(width) block_product(format, width, panels, count, columns, tile, tokens, y, stride)
#define CALL_float_product(width) float_product(format, width, panels, count, columns, tile, tokens, y, stride)
#define DEFINE_BLOCK_PRODUCT(name, id, ...) DEFINE_PRODUCT(name, id, block_product)
MK_BLOCK_FORMATS(DEFINE_BLOCK_PRODUCT)
DEFINE_PRODUCT(f32, MK_F32, float_product)
DEFINE_PRODUCT(f16, MK_F16, float_product)
DEFINE_PRODUCT(bf16, MK_BF16, float_product)

// Symmetric 16-bit codes per 32 columns: code = round(x / scale) with ties to even. The largest code, 127 × 256 + 127, is
// that of an instruction set which splits codes into 256 × high + low, both signed bytes (store_activations).
static void NAME(quantize_tile)(const float *x, size_t columns, int tokens, int width, int8_t *codes, mk_cell *cells) {
  const vfloat round = all(12582912.0f);
  const float largest = 127 * 256 + 127;
  for (size_t cell = 0; cell < columns / MK_CELL; cell++) {
    for (int t = 0; t < width; t++, codes += 2 * MK_CELL, cells++) {
      if (t >= tokens) {
        memset(codes, 0, 2 * MK_CELL);
        memset(cells, 0, sizeof *cells);
        continue;
      }
      const float *row = x + (size_t)t * columns + cell * MK_CELL;
      const vfloat a = load_floats(row), b = load_floats(row + 16);
      const float peak = max_lanes(larger(larger(a, -a), larger(b, -b)));
      const float inverse = peak > 0x1p-100f ? largest / peak : 0;  // nearer to zero the quotient would overflow
      const vfloat qa = (a * inverse + round) - round, qb = (b * inverse + round) - round;
      const vint ca = __builtin_convertvector(qa, vint), cb = __builtin_convertvector(qb, vint);
      store_activations(ca, cb, codes);
      cells->scale = peak / largest;
      cells->first_sum = __builtin_reduce_add(ca);
      cells->sum = cells->first_sum + __builtin_reduce_add(cb);
      cells->scaled_sum = cells->scale * (float)cells->sum;
    }
  }
}

static void NAME(transpose_tile)(const float *x, size_t columns, int tokens, int width, float *values) {
  for (size_t c = 0; c < columns; c++) {
    for (int t = 0; t < width; t++) values[c * (size_t)width + (size_t)t] = t < tokens ? x[(size_t)t * columns + c] : 0;
  }
}
