// Attention page by page. A page's keys are lanes: the dot product of a query with 16 keys needs no horizontal sum, so
// one query and many go through the same operations. A page's weighted values join the row's running state in page
// order (Milakov and Gimelshein 2018; FlashAttention). Both products are of whole numbers, hence exact; what is rounded
// belongs to one row and one page.

enum { KEY_VECTORS = PAGE / 16, ROWS = 4 };

// 2^x, within 1.1e-7, for x near or below 0; never less than 2^-126. Answers NaN to NaN.
INLINE vfloat power_of_two(vfloat x) {
  x = larger(all(-125.5f), x);
  const vfloat round = all(12582912.0f), shifted = x + round;  // 1.5 × 2^23: adding it rounds to an integer
  const vfloat r = x - (shifted - round);
  vfloat p = all(0.00132647273f);
  p = fma(p, r, all(0.00967151299f));
  p = fma(p, r, all(0.0555073358f));
  p = fma(p, r, all(0.240222424f));
  p = fma(p, r, all(0.693147004f));
  p = fma(p, r, all(1.0f));
  // The integer's low bits move into the exponent; those of `round` leave at the top.
  return (vfloat)((vword)p + ((vword)shifted << 23));
}

// Four rows are folded together, each in the tree of FOLD; row r's result is in lanes 4r … 4r + 3.
#define FOLD_ROWS(x, op)                                                                                            \
  ({                                                                                                                \
    const vfloat ab = op(__builtin_shufflevector(x[0], x[1], 0, 1, 2, 3, 4, 5, 6, 7, 16, 17, 18, 19, 20, 21, 22, 23), \
                         __builtin_shufflevector(x[0], x[1], 8, 9, 10, 11, 12, 13, 14, 15, 24, 25, 26, 27, 28, 29,  \
                                                 30, 31));                                                          \
    const vfloat cd = op(__builtin_shufflevector(x[2], x[3], 0, 1, 2, 3, 4, 5, 6, 7, 16, 17, 18, 19, 20, 21, 22, 23), \
                         __builtin_shufflevector(x[2], x[3], 8, 9, 10, 11, 12, 13, 14, 15, 24, 25, 26, 27, 28, 29,  \
                                                 30, 31));                                                          \
    vfloat f = op(__builtin_shufflevector(ab, cd, 0, 1, 2, 3, 8, 9, 10, 11, 16, 17, 18, 19, 24, 25, 26, 27),        \
                  __builtin_shufflevector(ab, cd, 4, 5, 6, 7, 12, 13, 14, 15, 20, 21, 22, 23, 28, 29, 30, 31));     \
    f = op(f, __builtin_shufflevector(f, f, 2, 3, 0, 1, 6, 7, 4, 5, 10, 11, 8, 9, 14, 15, 12, 13));                 \
    op(f, __builtin_shufflevector(f, f, 1, 0, 3, 2, 5, 4, 7, 6, 9, 8, 11, 10, 13, 12, 15, 14));                     \
  })

INLINE vfloat of_row(vfloat v, int r) {
  switch (r) {
    case 0: return v.s0000000000000000;
    case 1: return v.s4444444444444444;
    case 2: return v.s8888888888888888;
    default: return v.scccccccccccccccc;
  }
}

INLINE vfloat each_row(float a, float b, float c, float d) {
  return (vfloat){a, a, a, a, b, b, b, b, c, c, c, c, d, d, d, d};
}

INLINE uint32_t two_codes(const int16_t *p) {
  uint32_t two;
  memcpy(&two, p, 4);
  return two;
}

// Codes that will be read next are asked for while codes at the same place are read; those of 8 bits lie twice as near.
typedef struct {
  const char *keys, *values;  // NULL for none
  int nearer;
} next_codes;

INLINE void fetch_codes(const char *next, size_t code, const int vectors, size_t step, int nearer) {
  if (next) for (size_t v = 0; v < (size_t)vectors; v++) __builtin_prefetch(next + ((code + v * step) * 2 >> nearer));
}

// Scores before the row's own scale.
INLINE void page_scores(const int count, const mk_page *page, size_t head_width, mk_row *const rows[],
                        next_codes next, vfloat scores[][KEY_VECTORS]) {
  for (size_t first = 0; first < KEY_VECTORS; first += PAIR_VECTORS) {
    const int16_t *keys = (const int16_t *)page->keys + first * head_width * 16;
    vint sums[ROWS][PAIR_VECTORS];
    for (int r = 0; r < count; r++) for (int v = 0; v < PAIR_VECTORS; v++) sums[r][v] = (vint)(0);
    for (size_t d = 0; d < head_width; d += 2) {
      vword k[PAIR_VECTORS];
      for (size_t v = 0; v < PAIR_VECTORS; v++) k[v] = load_words(keys + (v * head_width + d) * 16);
      fetch_codes(next.keys, (first * head_width + d) * 16, PAIR_VECTORS, head_width * 16, next.nearer);
      for (int r = 0; r < count; r++) {
        const uint32_t two = two_codes(rows[r]->query + d);
        for (int v = 0; v < PAIR_VECTORS; v++) sums[r][v] = dot_pairs(sums[r][v], k[v], two);
      }
    }
    for (size_t v = 0; v < PAIR_VECTORS; v++) {
      const vfloat scale = load_floats(page->key_scales + (first + v) * 16);
      for (int r = 0; r < count; r++) scores[r][first + v] = ints_to_floats(sums[r][v]) * scale;
    }
  }
}

INLINE vfloat where_seen(vfloat x, int v, int first, int last, float otherwise) {
  const vint key = (vint){0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15} + v * 16;
  return ((key >= first) & (key < last)) ? x : all(otherwise);
}

// `vectors` × 16 columns of the weighted values, from `column`.
INLINE void page_values(const int count, const int vectors, const mk_page *page, size_t head_width, size_t column,
                        const int16_t codes[][PAGE], int first, int last, mk_row *const rows[], next_codes next,
                        vfloat before, vfloat scale) {
  vint sums[ROWS * PAIR_VECTORS];
  for (int i = 0; i < count * vectors; i++) sums[i] = (vint)(0);
  for (int k = first & ~1; k < last; k += 2) {
    const size_t at = (size_t)k * head_width + column * 2;
    vword x[PAIR_VECTORS];
    for (int v = 0; v < vectors; v++) x[v] = load_words((const int16_t *)page->values + at + v * 32);
    fetch_codes(next.values, at, vectors, 32, next.nearer);
    for (int r = 0; r < count; r++) {
      const uint32_t two = two_codes(codes[r] + k);
      for (int v = 0; v < vectors; v++) sums[r * vectors + v] = dot_pairs(sums[r * vectors + v], x[v], two);
    }
  }
  for (int r = 0; r < count; r++) for (int v = 0; v < vectors; v++) {
    float *p = rows[r]->weighted + column + v * 16;
    store_floats(p, fma(load_floats(p), of_row(before, r), ints_to_floats(sums[r * vectors + v]) * of_row(scale, r)));
  }
}

// A number of each row in that row's lanes. Rows that are not there follow the first.
#define OF_ROWS(number) \
  each_row(rows[0]->number, rows[count > 1]->number, rows[count > 2 ? 2 : 0]->number, rows[count > 3 ? 3 : 0]->number)

// `whole` where every row sees the whole page.
INLINE void attend_rows(const int count, const bool whole, const mk_page *page, size_t head_width, int start,
                        float cap, mk_row *const rows[], next_codes next) {
  vfloat scores[ROWS][KEY_VECTORS], tops[ROWS], sums[ROWS], weights[ROWS], peaks[ROWS];
  int first[ROWS], last[ROWS], from = whole ? 0 : PAGE, to = whole ? PAGE : 0;
  page_scores(count, page, head_width, rows, next, scores);
  float scales[ROWS];
  for (int r = 0; r < count; r++) {
    scales[r] = rows[r]->scale;
    if (cap <= 0) continue;
    const float bound = cap * 1.44269504f;  // scores are exponents of 2
    for (int v = 0; v < KEY_VECTORS; v++) scores[r][v] = tanh_lanes(scores[r][v] * (scales[r] / bound)) * bound;
    scales[r] = 1;
  }
  for (int r = 0; r < count; r++) {
    vfloat seen[KEY_VECTORS];
    for (int v = 0; v < KEY_VECTORS; v++) seen[v] = scores[r][v];
    if (!whole) {
      first[r] = rows[r]->begin > start ? rows[r]->begin - start : 0;
      last[r] = rows[r]->end < start + PAGE ? rows[r]->end - start : PAGE;
      from = first[r] < from ? first[r] : from;
      to = last[r] > to ? last[r] : to;
      for (int v = 0; v < KEY_VECTORS; v++) seen[v] = where_seen(seen[v], v, first[r], last[r], -__builtin_inff());
    }
    tops[r] = larger(larger(seen[0], seen[1]), larger(seen[2], seen[3]));
  }
  for (int r = count; r < ROWS; r++) tops[r] = tops[0];
  for (int r = count; r < ROWS; r++) scales[r] = scales[0];
  const vfloat scale_of_rows = each_row(scales[0], scales[1], scales[2], scales[3]);
  const vfloat old = OF_ROWS(maximum), peak = larger(FOLD_ROWS(tops, larger) * scale_of_rows, old);
  const vfloat before = power_of_two(old - peak);

  for (int r = 0; r < count; r++) {
    vfloat p[KEY_VECTORS];
    for (int v = 0; v < KEY_VECTORS; v++) {
      p[v] = power_of_two(fma(scores[r][v], all(scales[r]), -of_row(peak, r)));
      if (!whole) p[v] = where_seen(p[v], v, first[r], last[r], 0);
    }
    sums[r] = (p[0] + p[1]) + (p[2] + p[3]);
    for (int v = 0; v < KEY_VECTORS; v++) {
      p[v] = p[v] * load_floats(page->value_scales + v * 16);
      if (!whole) p[v] = where_seen(p[v], v, first[r], last[r], 0);  // the scale of an unseen value may be anything
      scores[r][v] = p[v];
    }
    weights[r] = (p[0] + p[1]) + (p[2] + p[3]);
    peaks[r] = larger(larger(p[0], p[1]), larger(p[2], p[3]));
  }
  for (int r = count; r < ROWS; r++) sums[r] = sums[0], weights[r] = weights[0], peaks[r] = peaks[0];
  const vfloat sum = fma(OF_ROWS(sum), before, FOLD_ROWS(sums, sum_of));
  // `larger` answers its second operand where either is not a number.
  const vfloat scale =
      larger(FOLD_ROWS(peaks, larger) * (1 / WEIGHT_PEAK), FOLD_ROWS(weights, sum_of) * (1 / WEIGHT_SUM));
  const vfloat inverse = scale >= all(LEAST_PEAK) ? all(1) / scale : all(0);
  int16_t codes[ROWS][PAGE] __attribute__((aligned(64)));
  for (int r = 0; r < count; r++) {
    for (int v = 0; v < KEY_VECTORS; v++) {
      const vfloat rounded = fma(scores[r][v], of_row(inverse, r), all(8388608.0f));  // 2^23 + code
      store_shorts((vint)rounded, (int8_t *)(codes[r] + v * 16));
    }
    rows[r]->maximum = of_row(peak, r)[0];
    rows[r]->sum = of_row(sum, r)[0];
  }

  const int16_t(*const weights_of)[PAGE] = (const int16_t(*)[PAGE])codes;
  size_t column = 0;
  for (; column + PAIR_VECTORS * 16 <= head_width; column += PAIR_VECTORS * 16) {
    page_values(count, PAIR_VECTORS, page, head_width, column, weights_of, from, to, rows, next, before, scale);
  }
  for (; column < head_width; column += 16) {
    page_values(count, 1, page, head_width, column, weights_of, from, to, rows, next, before, scale);
  }
}

static void NAME(attend_page)(const mk_page *page, const mk_page *following, int start, size_t head_width, float cap,
                              mk_row *rows, int count) {
  next_codes next = {NULL, NULL, 0};
  if (following) next = (next_codes){following->keys, following->values, following->key_factors != NULL};
  for (int done = 0; done < count;) {
    mk_row *seeing[ROWS];
    int n = 0;
    bool whole = true;
    for (; done < count && n < ROWS; done++) {
      if (rows[done].begin >= start + PAGE || rows[done].end <= start) continue;
      whole = whole && rows[done].begin <= start && rows[done].end >= start + PAGE;
      seeing[n++] = &rows[done];
    }
#define ATTEND(n)                                                               \
  case n:                                                                       \
    if (whole) attend_rows(n, true, page, head_width, start, cap, seeing, next); \
    else attend_rows(n, false, page, head_width, start, cap, seeing, next);     \
    break
    switch (n) { ATTEND(1); ATTEND(2); ATTEND(3); ATTEND(4); }
    next = (next_codes){NULL, NULL, 0};  // once is enough
  }
}

static void NAME(merge_rows)(mk_row *rows, const mk_row *later, int count, size_t head_width) {
  for (int r = 0; r < count; r++) {
    mk_row *row = &rows[r];
    const mk_row *other = &later[r];
    if (other->sum == 0) continue;  // has seen nothing
    const bool first = row->sum == 0;
    const float peak = other->maximum > row->maximum ? other->maximum : row->maximum;
    const vfloat before = power_of_two(all(row->maximum - peak)), after = power_of_two(all(other->maximum - peak));
    row->sum = first ? other->sum : __builtin_fmaf(row->sum, before[0], other->sum * after[0]);
    row->maximum = peak;
    FOR_LANES(i, head_width) {
      const vfloat v = load_floats(other->weighted + i);
      store_floats(row->weighted + i, first ? v : fma(load_floats(row->weighted + i), before, v * after));
    }
  }
}

static void NAME(finish_row)(const mk_row *row, size_t head_width, float *output) {
  const float inverse = row->sum == 0 ? 0 : 1.0f / row->sum;
  FOR_LANES(i, head_width) store_floats(output + i, load_floats(row->weighted + i) * inverse);
}
