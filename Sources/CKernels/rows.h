// Everything of a layer that goes row by row: norms, sums, activations, rotary positions, softmax.

#define FOR_LANES(i, count) for (size_t i = 0; i + 16 <= (count); i += 16)

static void NAME(rms_norm)(const float *x, const float *weight, float epsilon, size_t width, float *y) {
  const size_t whole = width & ~(size_t)15;
  vfloat squares = all(0);
  FOR_LANES(i, width) { const vfloat v = load_floats(x + i); squares = fma(v, v, squares); }
  if (whole < width) { const vfloat v = load_some(x + whole, width - whole, 0); squares = fma(v, v, squares); }
  const float factor = 1.0f / __builtin_sqrtf(sum_lanes(squares) / (float)width + epsilon);
  FOR_LANES(i, width) store_floats(y + i, load_floats(x + i) * factor * load_floats(weight + i));
  for (size_t i = whole; i < width; i++) y[i] = x[i] * factor * weight[i];
}

static void NAME(layer_norm)(const float *x, const float *weight, const float *bias, float epsilon, size_t width,
                             float *y) {
  const size_t whole = width & ~(size_t)15, rest = width - whole;
  vfloat sum = all(0), left = all(0), squares = all(0);
  FOR_LANES(i, width) sum = sum + load_floats(x + i);
  if (rest) sum = sum + load_some(x + whole, rest, 0);
  const float mean = sum_lanes(sum) / (float)width;
  FOR_LANES(i, width) { const vfloat v = load_floats(x + i) - mean; left = left + v; squares = fma(v, v, squares); }
  if (rest) {
    const vfloat v = load_some(x + whole, rest, mean) - mean;
    left = left + v;
    squares = fma(v, v, squares);
  }
  // What the mean lost by rounding counts where numbers lie close together and far from zero.
  const float error = sum_lanes(left) / (float)width, variance = sum_lanes(squares) / (float)width - error * error;
  const float factor = 1.0f / __builtin_sqrtf((variance < 0 ? 0 : variance) + epsilon);
  FOR_LANES(i, width) {
    const vfloat v = (load_floats(x + i) - mean - error) * factor * load_floats(weight + i);
    store_floats(y + i, bias ? v + load_floats(bias + i) : v);
  }
  for (size_t i = whole; i < width; i++) y[i] = (x[i] - mean - error) * factor * weight[i] + (bias ? bias[i] : 0);
}

static void NAME(add)(const float *x, const float *y, size_t count, float *z) {
  FOR_LANES(i, count) store_floats(z + i, load_floats(x + i) + load_floats(y + i));
  for (size_t i = count & ~(size_t)15; i < count; i++) z[i] = x[i] + y[i];
}

static void NAME(scale)(const float *x, float factor, size_t count, float *y) {
  FOR_LANES(i, count) store_floats(y + i, load_floats(x + i) * factor);
  for (size_t i = count & ~(size_t)15; i < count; i++) y[i] = x[i] * factor;
}

// Abramowitz and Stegun 7.1.26: |error| ≤ 1.5e-7.
INLINE vfloat erf_lanes(vfloat x) {
  const vfloat a = larger(x, -x), t = all(1) / fma(all(0.3275911f), a, all(1));
  vfloat p = all(1.061405429f);
  p = fma(p, t, all(-1.453152027f));
  p = fma(p, t, all(1.421413741f));
  p = fma(p, t, all(-0.284496736f));
  p = fma(p, t, all(0.254829592f));
  const vfloat y = all(1) - p * t * exponential(-a * a);
  return x < all(0) ? -y : y;
}

INLINE vfloat activate(const mk_activation kind, vfloat x) {
  switch (kind) {
    case MK_SILU: return x / (all(1) + exponential(-x));
    case MK_GELU_TANH: {  // (1 + tanh u) / 2 = 1 / (1 + e^−2u), which loses nothing where tanh u is near −1
      const vfloat twice = fma(x * x * x, all(0.044715f), x) * all(1.5957691216057308f);
      return x / (all(1) + exponential(-twice));
    }
    case MK_RELU: return larger(all(0), x);  // in this order NaN for NaN
    case MK_TANH: return tanh_lanes(x);
    default: return all(0.5f) * x * (all(1) + erf_lanes(x * all(0.7071067811865476f)));
  }
}

INLINE void gate_all(const mk_activation kind, const float *gate, const float *up, size_t count, float *y) {
  const size_t rest = count & 15, at = count - rest;
  if (up) {
    FOR_LANES(i, count) store_floats(y + i, activate(kind, load_floats(gate + i)) * load_floats(up + i));
    if (rest) store_some(y + at, activate(kind, load_some(gate + at, rest, 0)) * load_some(up + at, rest, 0), rest);
  } else {
    FOR_LANES(i, count) store_floats(y + i, activate(kind, load_floats(gate + i)));
    if (rest) store_some(y + at, activate(kind, load_some(gate + at, rest, 0)), rest);
  }
}

static void NAME(gate)(mk_activation kind, const float *gate, const float *up, size_t count, float *y) {
  switch (kind) {
    case MK_SILU: gate_all(MK_SILU, gate, up, count, y); break;
    case MK_GELU_TANH: gate_all(MK_GELU_TANH, gate, up, count, y); break;
    case MK_RELU: gate_all(MK_RELU, gate, up, count, y); break;
    case MK_TANH: gate_all(MK_TANH, gate, up, count, y); break;
    default: gate_all(MK_GELU, gate, up, count, y); break;
  }
}

// Turns 16 pairs (a, b).
INLINE void turn_pairs(vfloat a, vfloat b, const float *cosines, const float *sines, vfloat turned[2]) {
  const vfloat c = load_floats(cosines), s = load_floats(sines), left = a * c, right = a * s;
  turned[0] = left - b * s, turned[1] = right + b * c;
}

static void NAME(rotate)(const float *x, const float *cosines, const float *sines, size_t width, size_t rotated,
                         bool halves, float *y) {
  const size_t pairs = rotated / 2, step = halves ? 1 : 2, apart = halves ? pairs : 1;
  vfloat t[2];
  FOR_LANES(i, pairs) {
    if (halves) {
      turn_pairs(load_floats(x + i), load_floats(x + i + apart), cosines + i, sines + i, t);
      store_floats(y + i, t[0]), store_floats(y + i + apart, t[1]);
    } else {
      const vfloat a = load_floats(x + 2 * i), b = load_floats(x + 2 * i + 16);
      turn_pairs(
          __builtin_shufflevector(a, b, 0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30),
          __builtin_shufflevector(a, b, 1, 3, 5, 7, 9, 11, 13, 15, 17, 19, 21, 23, 25, 27, 29, 31), cosines + i,
          sines + i, t);
      store_floats(y + 2 * i, __builtin_shufflevector(t[0], t[1], 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23));
      store_floats(y + 2 * i + 16,
                   __builtin_shufflevector(t[0], t[1], 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31));
    }
  }
  for (size_t i = pairs & ~(size_t)15; i < pairs; i++) {
    const float a = x[i * step], b = x[i * step + apart];
    const float left = a * cosines[i], right = a * sines[i];
    y[i * step] = left - b * sines[i];
    y[i * step + apart] = right + b * cosines[i];
  }
  memcpy(y + rotated, x + rotated, (width - rotated) * sizeof(float));
}

static float NAME(log_sum_exp)(const float *x, size_t count, float *maximum) {
  vfloat top = all(-__builtin_inff()), sum = all(0);
  const size_t rest = count & 15, at = count - rest;
  FOR_LANES(i, count) top = larger(load_floats(x + i), top);
  if (rest) top = larger(load_some(x + at, rest, -__builtin_inff()), top);
  const float peak = max_lanes(top), shift = peak - peak == 0 ? peak : 0;  // there are no distances from infinity
  FOR_LANES(i, count) sum = sum + exponential(load_floats(x + i) - shift);
  if (rest) sum = sum + exponential(load_some(x + at, rest, -__builtin_inff()) - shift);
  *maximum = peak;
  return peak + __builtin_logf(sum_lanes(sum));
}
