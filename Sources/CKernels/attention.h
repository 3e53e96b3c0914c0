// Attention page by page. A page's keys are lanes: the dot product of a query with 16 keys needs no horizontal sum, so
// one query and many go through the same operations. Each row's page gives (weighted values, maximum, sum), merged
// into the row's running state in page order (Milakov and Gimelshein 2018; FlashAttention).

enum { PAGE = 64, KEY_VECTORS = PAGE / 16 };

INLINE void page_scores(const int count, const uint16_t *keys, size_t head_width, float scale, const mk_row *rows,
                        float scores[][PAGE]) {
  vfloat sums[4][KEY_VECTORS];
  for (int r = 0; r < count; r++) for (int v = 0; v < KEY_VECTORS; v++) sums[r][v] = all(0);
  for (size_t d = 0; d < head_width; d++) {
    for (int v = 0; v < KEY_VECTORS; v++) {
      const vfloat k = halves_to_floats(load_halves(keys + ((size_t)v * head_width + d) * 16));
      for (int r = 0; r < count; r++) sums[r][v] = fma(k, all(rows[r].query[d]), sums[r][v]);
    }
  }
  for (int r = 0; r < count; r++) for (int v = 0; v < KEY_VECTORS; v++) {
    store_floats(scores[r] + v * 16, sums[r][v] * scale);
  }
}

// scores → e^(score − maximum) of the visible keys, 0 elsewhere; returns the sum.
INLINE float page_softmax(float scores[PAGE], int first, int last, float *maximum) {
  for (int i = 0; i < first; i++) scores[i] = -__builtin_inff();
  for (int i = last; i < PAGE; i++) scores[i] = -__builtin_inff();
  vfloat top = load_floats(scores);
  for (int v = 1; v < KEY_VECTORS; v++) top = larger(load_floats(scores + v * 16), top);
  const float peak = max_lanes(top);
  vfloat sum = all(0);
  for (int v = 0; v < KEY_VECTORS; v++) {
    const vfloat p = exponential(load_floats(scores + v * 16) - peak);
    store_floats(scores + v * 16, p);
    sum = sum + p;
  }
  *maximum = peak;
  return sum_lanes(sum);
}

// `vectors` × 16 columns of the weighted values, from `column`.
INLINE void page_values(const int count, const int vectors, const uint16_t *values, size_t head_width, size_t column,
                        const float scores[][PAGE], int first, int last, vfloat sums[]) {
  for (int i = 0; i < count * vectors; i++) sums[i] = all(0);
  for (int k = first; k < last; k++) {
    for (int v = 0; v < vectors; v++) {
      const vfloat x = halves_to_floats(load_halves(values + (size_t)k * head_width + column + (size_t)v * 16));
      for (int r = 0; r < count; r++) sums[r * vectors + v] = fma(x, all(scores[r][k]), sums[r * vectors + v]);
    }
  }
}

INLINE void merge(float *state, const vfloat *later, size_t column, int vectors, float before, float after) {
  for (int v = 0; v < vectors; v++) {
    float *p = state + column + v * 16;
    store_floats(p, fma(load_floats(p), all(before), later[v] * after));
  }
}

INLINE void attend_rows(const int count, const uint16_t *keys, const uint16_t *values, size_t head_width, float scale,
                        const mk_row *rows) {
  float scores[4][PAGE], sums[4], maxima[4], before[4], after[4];
  page_scores(count, keys, head_width, scale, rows, scores);
  int first = PAGE, last = 0;
  for (int r = 0; r < count; r++) {
    sums[r] = page_softmax(scores[r], rows[r].first, rows[r].last, &maxima[r]);
    first = rows[r].first < first ? rows[r].first : first;
    last = rows[r].last > last ? rows[r].last : last;
    float *tail = rows[r].state + head_width;
    const float peak = maxima[r] > tail[0] ? maxima[r] : tail[0];
    before[r] = exponential_of(tail[0] - peak);
    after[r] = exponential_of(maxima[r] - peak);
    tail[1] = __builtin_fmaf(tail[1], before[r], sums[r] * after[r]);
    tail[0] = peak;
  }
  size_t column = 0;
  for (; column + 64 <= head_width; column += 64) {
    vfloat weighted[16];
    page_values(count, 4, values, head_width, column, (const float(*)[PAGE])scores, first, last, weighted);
    for (int r = 0; r < count; r++) merge(rows[r].state, weighted + r * 4, column, 4, before[r], after[r]);
  }
  for (; column < head_width; column += 16) {
    vfloat weighted[4];
    page_values(count, 1, values, head_width, column, (const float(*)[PAGE])scores, first, last, weighted);
    for (int r = 0; r < count; r++) merge(rows[r].state, weighted + r, column, 1, before[r], after[r]);
  }
}

static void NAME(attend_page)(const uint16_t *keys, const uint16_t *values, size_t head_width, float scale,
                              const mk_row *rows, int count) {
  mk_row seeing[4];
  int n = 0;
  for (int r = 0; r < count; r++) if (rows[r].first < rows[r].last) seeing[n++] = rows[r];
  switch (n) {
    case 0: break;
    case 1: attend_rows(1, keys, values, head_width, scale, seeing); break;
    case 2: attend_rows(2, keys, values, head_width, scale, seeing); break;
    case 3: attend_rows(3, keys, values, head_width, scale, seeing); break;
    default: attend_rows(4, keys, values, head_width, scale, seeing); break;
  }
}

static void NAME(merge_states)(float *state, const float *later, size_t head_width) {
  float *tail = state + head_width;
  if (!later) {
    const float inverse = tail[1] > 0 ? 1.0f / tail[1] : 0;
    FOR_LANES(i, head_width) store_floats(state + i, load_floats(state + i) * inverse);
    return;
  }
  const float *other = later + head_width;
  if (other[1] == 0) return;
  const float peak = other[0] > tail[0] ? other[0] : tail[0];
  const float before = exponential_of(tail[0] - peak), after = exponential_of(other[0] - peak);
  tail[1] = __builtin_fmaf(tail[1], before, other[1] * after);
  tail[0] = peak;
  FOR_LANES(i, head_width) {
    const vfloat v = load_floats(other - head_width + i);
    store_floats(state + i, fma(load_floats(state + i), all(before), v * after));
  }
}

// An 8-bit page keeps codes where the f16 page keeps values, and one f16 scale per 32 columns of each key or value (the
// last scale of an odd multiple of 16 serves 16): keys `[4][scales][16]`, values `[64][scales]`.

static void NAME(store_codes)(const float *x, size_t head_width, int8_t *codes, size_t code_step, uint16_t *scales,
                              size_t scale_step) {
  for (size_t i = 0; i < head_width; i += 32) {
    const size_t columns = head_width - i < 32 ? 16 : 32;
    const vfloat a = load_floats(x + i), b = columns == 32 ? load_floats(x + i + 16) : a;
    const float peak = max_lanes(larger(larger(a, -a), larger(b, -b)));
    const uint16_t half = mk_float_to_half(peak / 127.0f);
    const float scale = mk_half_to_float(half), inverse = scale > 0 ? 1.0f / scale : 0;
    for (size_t k = 0; k < columns; k++) {
      const float q = __builtin_rintf(x[i + k] * inverse);
      codes[(i + k) * code_step] = (int8_t)(q < 127 ? (q > -127 ? q : -127) : 127);  // 127 for NaN, too
    }
    scales[i / 32 * scale_step] = half;
  }
}

INLINE void expand(const int8_t *codes, vfloat scale, uint16_t *out) {
  const vhalf h = floats_to_halves(signed_bytes_to_floats((const uint8_t *)codes) * scale);
  memcpy(out, &h, 32);
}

static void NAME(expand_page)(const int8_t *key_codes, const uint16_t *key_scales, const int8_t *value_codes,
                              const uint16_t *value_scales, size_t head_width, uint16_t *keys, uint16_t *values) {
  const size_t scales = (head_width + 31) / 32;
  for (size_t v = 0; v < KEY_VECTORS; v++) {
    for (size_t d = 0; d < head_width; d++) {
      const vfloat scale = halves_to_floats(load_halves(key_scales + (v * scales + d / 32) * 16));
      const size_t at = (v * head_width + d) * 16;
      expand(key_codes + at, scale, keys + at);
    }
  }
  for (size_t k = 0; k < PAGE; k++) {
    for (size_t d = 0; d < head_width; d += 16) {
      const vfloat scale = all(mk_half_to_float(value_scales[k * scales + d / 32]));
      expand(value_codes + k * head_width + d, scale, values + k * head_width + d);
    }
  }
}
