// Attention over keys and values in f32 that lie in memory as a model gave them: encoders, cross-attention, training.
// Sixteen keys are lanes, as in pages, and every sum runs over columns or keys in their order, so a query's result does
// not depend on the queries computed beside it.

enum { DENSE_ROWS = 4, DENSE_VECTORS = 4 };

INLINE void some_scores(const int count, const int panels, const float *const queries[], const float *keys,
                        size_t width, float *const scores[], size_t at) {
  vfloat sums[DENSE_ROWS][DENSE_VECTORS];
  for (int r = 0; r < count; r++) for (int p = 0; p < panels; p++) sums[r][p] = all(0);
  for (size_t d = 0; d < width; d++) {
    vfloat k[DENSE_VECTORS];
    for (size_t p = 0; p < (size_t)panels; p++) k[p] = load_floats(keys + (p * width + d) * 16);
    for (int r = 0; r < count; r++) {
      const vfloat q = all(queries[r][d]);
      for (int p = 0; p < panels; p++) sums[r][p] = fma(q, k[p], sums[r][p]);
    }
  }
  for (int r = 0; r < count; r++) for (int p = 0; p < panels; p++) store_floats(scores[r] + at + p * 16, sums[r][p]);
}

INLINE void all_scores(const int count, const float *const queries[], const float *keys, size_t panels, size_t width,
                       float *const scores[]) {
  size_t p = 0;
  for (; p + DENSE_VECTORS <= panels; p += DENSE_VECTORS) {
    some_scores(count, DENSE_VECTORS, queries, keys + p * width * 16, width, scores, p * 16);
  }
  for (; p < panels; p++) some_scores(count, 1, queries, keys + p * width * 16, width, scores, p * 16);
}

static void NAME(dense_scores)(const float *const *queries, int count, const float *keys, size_t panels, size_t width,
                               float *const *scores) {
  switch (count) {
    case 1: all_scores(1, queries, keys, panels, width, scores); break;
    case 2: all_scores(2, queries, keys, panels, width, scores); break;
    case 3: all_scores(3, queries, keys, panels, width, scores); break;
    default: all_scores(4, queries, keys, panels, width, scores); break;
  }
}

static void NAME(softmax)(float *scores, size_t count, size_t first, size_t last, float scale, const float *bias,
                          float cap) {
  memset(scores, 0, first * sizeof(float));
  memset(scores + last, 0, (count - last) * sizeof(float));
  float *const x = scores + first;
  const size_t seen = last - first, rest = seen & 15, at = seen - rest;
  vfloat top = all(-__builtin_inff()), sum = all(0);
  for (size_t i = 0; i < seen; i += 16) {
    const size_t here = i < at ? 16 : rest;
    vfloat v = (here < 16 ? load_some(x + i, here, 0) : load_floats(x + i)) * scale;
    if (bias) v += here < 16 ? load_some(bias + first + i, here, 0) : load_floats(bias + first + i);
    if (cap > 0) v = tanh_lanes(v / cap) * cap;
    if (here < 16) store_some(x + i, v, here), v = load_some(x + i, here, -__builtin_inff());
    else store_floats(x + i, v);
    top = larger(v, top);
  }
  const float peak = max_lanes(top);
  for (size_t i = 0; i < seen; i += 16) {
    const size_t here = i < at ? 16 : rest;
    const vfloat v = exponential((here < 16 ? load_some(x + i, here, -__builtin_inff()) : load_floats(x + i)) - peak);
    if (here < 16) store_some(x + i, v, here);
    else store_floats(x + i, v);
    sum = sum + v;
  }
  const float inverse = 1.0f / sum_lanes(sum);
  for (size_t i = 0; i < seen; i++) x[i] *= inverse;
}

// Where the keys begin and end that some query sees, and between them those that all see.
typedef struct { size_t begin, shared, apart, end; } seen_keys;

INLINE seen_keys keys_seen(const int count, const size_t *first, const size_t *last) {
  seen_keys seen = {first[0], first[0], last[0], last[0]};
  for (int r = 1; r < count; r++) {
    if (first[r] < seen.begin) seen.begin = first[r];
    if (first[r] > seen.shared) seen.shared = first[r];
    if (last[r] < seen.apart) seen.apart = last[r];
    if (last[r] > seen.end) seen.end = last[r];
  }
  if (seen.shared > seen.apart) seen.shared = seen.apart = seen.end;
  return seen;
}

// Keys from … to, which not all queries see unless `shared`: a weight of 0 would not hide a value that is no number.
INLINE void add_values(const int count, const int vectors, const bool shared, const float *const weights[],
                       const float *values, size_t stride, const size_t *first, const size_t *last, size_t from,
                       size_t to, vfloat sums[][DENSE_VECTORS]) {
  for (size_t k = from; k < to; k++) {
    vfloat x[DENSE_VECTORS];
    for (int v = 0; v < vectors; v++) x[v] = load_floats(values + k * stride + v * 16);
    for (int r = 0; r < count; r++) {
      if (!shared && (k < first[r] || k >= last[r])) continue;
      const vfloat w = all(weights[r][k]);
      for (int v = 0; v < vectors; v++) sums[r][v] = fma(w, x[v], sums[r][v]);
    }
  }
}

INLINE void some_values(const int count, const int vectors, const float *const weights[], const float *values,
                        size_t stride, const size_t *first, const size_t *last, seen_keys seen,
                        float *const outputs[], size_t column) {
  vfloat sums[DENSE_ROWS][DENSE_VECTORS];
  for (int r = 0; r < count; r++) for (int v = 0; v < vectors; v++) sums[r][v] = all(0);
  values += column;
  add_values(count, vectors, false, weights, values, stride, first, last, seen.begin, seen.shared, sums);
  add_values(count, vectors, true, weights, values, stride, first, last, seen.shared, seen.apart, sums);
  add_values(count, vectors, false, weights, values, stride, first, last, seen.apart, seen.end, sums);
  for (int r = 0; r < count; r++) for (int v = 0; v < vectors; v++) {
    store_floats(outputs[r] + column + v * 16, sums[r][v]);
  }
}

INLINE void all_values(const int count, const float *const weights[], const float *values, size_t stride,
                       const size_t *first, const size_t *last, size_t width, float *const outputs[]) {
  const seen_keys seen = keys_seen(count, first, last);
  size_t column = 0;
  for (; column + DENSE_VECTORS * 16 <= width; column += DENSE_VECTORS * 16) {
    some_values(count, DENSE_VECTORS, weights, values, stride, first, last, seen, outputs, column);
  }
  for (; column < width; column += 16) {
    some_values(count, 1, weights, values, stride, first, last, seen, outputs, column);
  }
}

static void NAME(dense_values)(const float *const *weights, int count, const float *values, size_t stride,
                               const size_t *first, const size_t *last, size_t width, float *const *outputs) {
  switch (count) {
    case 1: all_values(1, weights, values, stride, first, last, width, outputs); break;
    case 2: all_values(2, weights, values, stride, first, last, width, outputs); break;
    case 3: all_values(3, weights, values, stride, first, last, width, outputs); break;
    default: all_values(4, weights, values, stride, first, last, width, outputs); break;
  }
}
