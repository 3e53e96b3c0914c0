// How keys and values lie in a cache page: 16-bit codes, or 8-bit codes with a small whole factor per 32 of them, in
// the order in which attention.h reads them. A page of 64 tokens holds, for one head, keys `[4][head_width / 2][16][2]`
// (16 keys are the lanes, two columns a 32-bit word) and values `[32][head_width][2]` (columns are the lanes, the
// values of two tokens a word).
//
// Sums of products of codes must fit into 32 bits. By the inequality of Cauchy and Schwarz a query and a key whose
// codes have norms of at most 46,340 are safe, whatever their width; 45,000 leaves room for rounding to 16 and to 8
// bits up to a width of 4,096. Values times weights are safe where the largest value times the sum of weights is.

enum { PAGE = 64, CELL = 32 };
#define CODE_NORM 45000.0f
#define CODE_PEAK 32639.0f   // 127 × 257: what 8-bit codes and their factor reach
#define VALUE_PEAK 10160.0f  // 127 × 80; with WEIGHT_SUM below 2^31 by a margin for rounding 64 weights
#define WEIGHT_SUM 211000.0f
#define WEIGHT_PEAK 32700.0f
#define LEAST_PEAK 1e-30f    // smaller numbers count as zero, so that no reciprocal overflows

// number = scale × code; code = number × inverse.
typedef struct { float scale, inverse; } coding;

INLINE coding coding_of(const float *x, size_t head_width, float code_peak, float code_norm) {
  vfloat top = all(0), squares = all(0);
  FOR_LANES(i, head_width) {
    const vfloat v = load_floats(x + i);
    top = larger(larger(v, -v), top);
  }
  const float peak = max_lanes(top), unit = peak >= LEAST_PEAK ? 1.0f / peak : 0;
  FOR_LANES(i, head_width) {
    const vfloat v = load_floats(x + i) * unit;
    squares = fma(v, v, squares);
  }
  const float norm = __builtin_sqrtf(sum_lanes(squares));  // not a number where x holds one or an infinity
  if (!(norm > 0)) return (coding){norm, 0};
  const float steps = code_peak * norm > code_norm ? code_norm / norm : code_peak;
  return (coding){peak / steps, steps / peak};
}

INLINE vint codes_of(const float *x, float inverse) {
  if (!(inverse > 0)) return (vint)(0);
  return (vint)fma(load_floats(x), all(inverse), all(12582912.0f)) - 0x4b400000;  // 1.5 × 2^23 rounds to an integer
}

static float NAME(encode_query)(const float *x, size_t head_width, float scale, int16_t *codes) {
  const coding c = coding_of(x, head_width, CODE_PEAK, CODE_NORM);
  FOR_LANES(i, head_width) store_shorts(codes_of(x + i, c.inverse), (int8_t *)(codes + i));
  return c.scale * (scale * 1.44269504088896341f);  // scores are powers of two
}

// Places of the codes of a key's or a value's columns 2j and 2j + 1.
typedef struct { size_t first, second, step; } places;

INLINE places key_places(size_t head_width, int slot) {
  const size_t first = (size_t)(slot / 16) * head_width * 16 + (size_t)(slot % 16) * 2;
  return (places){first, first + 1, 32};
}

INLINE places value_places(size_t head_width, int slot) {
  const size_t first = (size_t)(slot / 2) * head_width * 2 + (size_t)(slot % 2);
  return (places){first, first + 2, 4};
}

// Factors lie as the codes do: one per 32 columns, `[4][cells][16]` for keys and `[32][cells][2]` for values.
INLINE size_t key_factor(size_t cells, int slot, size_t cell) {
  return ((size_t)(slot / 16) * cells + cell) * 16 + (size_t)(slot % 16);
}

INLINE size_t value_factor(size_t cells, int slot, size_t cell) {
  return ((size_t)(slot / 2) * cells + cell) * 2 + (size_t)(slot % 2);
}

INLINE void store_cell(const int16_t *codes, size_t columns, places at, int16_t *out) {
  for (size_t j = 0; j < columns / 2; j++) {
    out[at.first + j * at.step] = codes[2 * j];
    out[at.second + j * at.step] = codes[2 * j + 1];
  }
}

// Returns the factor.
INLINE uint16_t store_small_cell(const int16_t *codes, size_t columns, places at, int8_t *out) {
  int peak = 1;
  for (size_t i = 0; i < columns; i++) peak = codes[i] > peak ? codes[i] : -codes[i] > peak ? -codes[i] : peak;
  const int factor = (peak + 126) / 127;
  const float inverse = 1.0f / (float)factor;
  for (size_t j = 0; j < columns / 2; j++) {
    out[at.first + j * at.step] = (int8_t)__builtin_rintf((float)codes[2 * j] * inverse);
    out[at.second + j * at.step] = (int8_t)__builtin_rintf((float)codes[2 * j + 1] * inverse);
  }
  return (uint16_t)factor;
}

static void NAME(store_token)(const mk_page *page, int slot, size_t head_width, const float *key, const float *value) {
  const size_t cells = (head_width + CELL - 1) / CELL;
  const coding k = coding_of(key, head_width, CODE_PEAK, CODE_NORM);
  const coding v = coding_of(value, head_width, VALUE_PEAK, __builtin_inff());
  page->key_scales[slot] = k.scale;
  page->value_scales[slot] = v.scale;
  places key_at = key_places(head_width, slot), value_at = value_places(head_width, slot);
  for (size_t cell = 0; cell < cells; cell++) {
    const size_t column = cell * CELL, columns = head_width - column < CELL ? 16 : CELL;
    int16_t key_codes[CELL], value_codes[CELL];
    for (size_t i = 0; i < columns; i += 16) {
      store_shorts(codes_of(key + column + i, k.inverse), (int8_t *)(key_codes + i));
      store_shorts(codes_of(value + column + i, v.inverse), (int8_t *)(value_codes + i));
    }
    if (page->key_factors) {
      page->key_factors[key_factor(cells, slot, cell)] = store_small_cell(key_codes, columns, key_at, page->keys);
      page->value_factors[value_factor(cells, slot, cell)] =
          store_small_cell(value_codes, columns, value_at, page->values);
    } else {
      store_cell(key_codes, columns, key_at, page->keys);
      store_cell(value_codes, columns, value_at, page->values);
    }
    key_at.first += key_at.step * CELL / 2, key_at.second += key_at.step * CELL / 2;
    value_at.first += value_at.step * CELL / 2, value_at.second += value_at.step * CELL / 2;
  }
}

static void NAME(load_token)(const mk_page *page, int slot, size_t head_width, float *key, float *value) {
  const size_t cells = (head_width + CELL - 1) / CELL;
  const places key_at = key_places(head_width, slot), value_at = value_places(head_width, slot);
  for (size_t i = 0; i < head_width; i++) {
    const size_t k = (i % 2 ? key_at.second : key_at.first) + i / 2 * key_at.step;
    const size_t v = (i % 2 ? value_at.second : value_at.first) + i / 2 * value_at.step;
    int key_code, value_code;
    if (page->key_factors) {
      key_code = ((const int8_t *)page->keys)[k] * page->key_factors[key_factor(cells, slot, i / CELL)];
      value_code = ((const int8_t *)page->values)[v] * page->value_factors[value_factor(cells, slot, i / CELL)];
    } else {
      key_code = ((const int16_t *)page->keys)[k];
      value_code = ((const int16_t *)page->values)[v];
    }
    key[i] = (float)key_code * page->key_scales[slot];
    value[i] = (float)value_code * page->value_scales[slot];
  }
}

typedef int16_t vshorts __attribute__((ext_vector_type(32)));

// 32 codes × their factors: of 16 keys twice, or of two values 16 times.
INLINE void expand(const int8_t *codes, vshorts factors, int16_t *out) {
  int8_t __attribute__((ext_vector_type(32))) small;
  memcpy(&small, codes, 32);
  const vshorts wide = __builtin_convertvector(small, vshorts) * factors;
  memcpy(out, &wide, 64);
}

static void NAME(expand_page)(const mk_page *page, size_t head_width, int16_t *keys, int16_t *values) {
  const size_t cells = (head_width + CELL - 1) / CELL;
  for (size_t cell = 0; cell < cells; cell++) {
    const size_t columns = head_width - cell * CELL < CELL ? 16 : CELL;
    for (size_t v = 0; v < PAGE / 16; v++) {
      vshort f;
      memcpy(&f, page->key_factors + (v * cells + cell) * 16, 32);
      const vshorts factors = __builtin_shufflevector(f, f, 0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7, 8, 8, 9, 9,
                                                      10, 10, 11, 11, 12, 12, 13, 13, 14, 14, 15, 15);
      for (size_t j = 0; j < columns / 2; j++) {
        const size_t at = (v * head_width / 2 + cell * CELL / 2 + j) * 32;
        expand((const int8_t *)page->keys + at, factors, keys + at);
      }
    }
    for (size_t pair = 0; pair < PAGE / 2; pair++) {
      uint32_t two;
      memcpy(&two, page->value_factors + (pair * cells + cell) * 2, 4);
      const vword f = (vword)(two);
      vshorts factors;
      memcpy(&factors, &f, 64);
      for (size_t i = 0; i < columns; i += 16) {
        const size_t at = (pair * head_width + cell * CELL + i) * 2;
        expand((const int8_t *)page->values + at, factors, values + at);
      }
    }
  }
}
