// Gradients of what goes row by row, and the step of an optimizer.

INLINE vfloat slope(const mk_activation kind, vfloat x) {
  switch (kind) {
    case MK_SILU: {  // of x σ(x): σ(x) (1 + x (1 − σ(x))), where e^−x ends at 10^38
      x = larger(all(-100), x);
      const vfloat s = all(1) / (all(1) + exponential(-x));
      return s * fma(x, all(1) - s, all(1));
    }
    case MK_RELU: return x > all(0) ? all(1) : all(0);
    case MK_TANH: {
      const vfloat bent = tanh_lanes(x);
      return all(1) - bent * bent;
    }
    default: break;
  }
  // Beyond ±20 both kinds of GELU are straight; what grows with a power of x would overflow there.
  x = x < all(-20) ? all(-20) : (x > all(20) ? all(20) : x);
  if (kind == MK_GELU_TANH) {  // of x σ(2u), u = √(2/π) (x + 0.044715 x³)
    const vfloat twice = all(1.5957691216057308f), square = x * x;
    const vfloat s = all(1) / (all(1) + exponential(-twice * fma(square * x, all(0.044715f), x)));
    return s * fma(x * (all(1) - s) * twice, fma(square, all(3 * 0.044715f), all(1)), all(1));
  }
  const vfloat normal = exponential(all(-0.5f) * x * x) * all(0.3989422804014327f);  // Φ(x) + x φ(x)
  return fma(x, normal, all(0.5f) * (all(1) + erf_lanes(x * all(0.7071067811865476f))));
}

INLINE void gate_slopes(const mk_activation kind, const float *dy, const float *gate, const float *up, size_t count,
                        float *dgate, float *dup) {
  for (size_t i = 0; i < count; i += 16) {
    const size_t here = count - i;
#define LOAD(p) (here < 16 ? load_some((p) + i, here, 0) : load_floats((p) + i))
#define STORE(p, v) do { if (here < 16) store_some((p) + i, v, here); else store_floats((p) + i, v); } while (0)
    const vfloat d = LOAD(dy), x = LOAD(gate);
    STORE(dgate, (up ? d * LOAD(up) : d) * slope(kind, x));
    if (dup) STORE(dup, d * activate(kind, x));
  }
}

static void NAME(gate_gradients)(mk_activation kind, const float *dy, const float *gate, const float *up, size_t count,
                                 float *dgate, float *dup) {
  switch (kind) {
    case MK_SILU: gate_slopes(MK_SILU, dy, gate, up, count, dgate, dup); break;
    case MK_GELU_TANH: gate_slopes(MK_GELU_TANH, dy, gate, up, count, dgate, dup); break;
    case MK_RELU: gate_slopes(MK_RELU, dy, gate, up, count, dgate, dup); break;
    case MK_TANH: gate_slopes(MK_TANH, dy, gate, up, count, dgate, dup); break;
    default: gate_slopes(MK_GELU, dy, gate, up, count, dgate, dup); break;
  }
}

// With r = 1 / rms: dx = r (w dy − x r² mean(x w dy)), dw = Σ dy x r.
static void NAME(rms_norm_gradients)(const float *dy, const float *x, const float *weight, float epsilon, size_t width,
                                     float *dx, float *dweight) {
  vfloat squares = all(0), products = all(0);
  for (size_t i = 0; i < width; i += 16) {
    const size_t here = width - i;
    const vfloat v = LOAD(x);
    squares = fma(v, v, squares);
    products = fma(v, LOAD(dy) * LOAD(weight), products);
  }
  const float inverse = 1.0f / __builtin_sqrtf(sum_lanes(squares) / (float)width + epsilon);
  const float shift = inverse * inverse * (sum_lanes(products) / (float)width);
  for (size_t i = 0; i < width; i += 16) {
    const size_t here = width - i;
    const vfloat v = LOAD(x), d = LOAD(dy);
    if (dweight) STORE(dweight, fma(d, v * inverse, LOAD(dweight)));
    if (dx) STORE(dx, inverse * (LOAD(weight) * d - v * shift));
  }
}

// With n the normalised row, r = 1 / deviation: dx = r (w dy − mean(w dy) − n mean(w dy n)), dw = Σ dy n.
static void NAME(layer_norm_gradients)(const float *dy, const float *x, const float *weight, float epsilon, size_t width,
                                       float *dx, float *dweight) {
  vfloat sum = all(0), squares = all(0), factors = all(0), products = all(0);
  for (size_t i = 0; i < width; i += 16) { const size_t here = width - i; sum = sum + LOAD(x); }
  const float mean = sum_lanes(sum) / (float)width;
  for (size_t i = 0; i < width; i += 16) {
    const size_t here = width - i;
    const vfloat v = (here < 16 ? load_some(x + i, here, mean) : load_floats(x + i)) - mean, f = LOAD(dy) * LOAD(weight);
    squares = fma(v, v, squares);
    factors = factors + f;
    products = fma(v, f, products);
  }
  const float inverse = 1.0f / __builtin_sqrtf(sum_lanes(squares) / (float)width + epsilon);
  const float level = sum_lanes(factors) / (float)width;
  const float shift = inverse * inverse * (sum_lanes(products) / (float)width);
  for (size_t i = 0; i < width; i += 16) {
    const size_t here = width - i;
    const vfloat v = LOAD(x) - mean, d = LOAD(dy);
    if (dweight) STORE(dweight, fma(d, v * inverse, LOAD(dweight)));
    if (dx) STORE(dx, inverse * (LOAD(weight) * d - level - v * shift));
  }
}

static void NAME(softmax_gradient)(const float *dy, const float *y, size_t count, float factor, float *dx) {
  vfloat sum = all(0);
  for (size_t i = 0; i < count; i += 16) { const size_t here = count - i; sum = fma(LOAD(dy), LOAD(y), sum); }
  const float mean = sum_lanes(sum);
  for (size_t i = 0; i < count; i += 16) {
    const size_t here = count - i;
    STORE(dx, LOAD(y) * (LOAD(dy) - mean) * factor);
  }
}

static void NAME(exponentials)(const float *x, float shift, float factor, size_t count, float *y) {
  for (size_t i = 0; i < count; i += 16) {
    const size_t here = count - i;
    STORE(y, exponential(LOAD(x) - shift) * factor);
  }
}

// Adam with decay apart from the gradient (Loshchilov and Hutter 2019), as PyTorch's AdamW orders its operations.
static void NAME(adam)(const mk_adam *how, const float *gradient, size_t count, float *weight, float *mean, float *square) {
  const vfloat kept = all(1 - how->decay), first = all(1 - how->beta1), second = all(1 - how->beta2);
  const vfloat rate = all(how->rate), epsilon = all(how->epsilon), correction = all(how->square_correction);
  for (size_t i = 0; i < count; i += 16) {
    const size_t here = count - i;
    const vfloat g = LOAD(gradient) * how->gradient_factor, m0 = LOAD(mean);
    const vfloat m = fma(g - m0, first, m0), v = fma(g * g, second, LOAD(square) * how->beta2);
    STORE(mean, m);
    STORE(square, v);
    const vfloat root = __builtin_elementwise_sqrt(v) / correction + epsilon;
    STORE(weight, LOAD(weight) * kept - rate * (m / root));
  }
}

static void NAME(combine)(float a, float b, const float *y, size_t count, float *x) {
  for (size_t i = 0; i < count; i += 16) {
    const size_t here = count - i;
    STORE(x, fma(LOAD(y), all(b), LOAD(x) * a));
  }
}

static double NAME(sum_of_squares)(const float *x, size_t count) {
  double total = 0;
  for (size_t first = 0; first < count; first += 4096) {
    const size_t last = count - first < 4096 ? count : first + 4096;
    vfloat sum = all(0);
    for (size_t i = first; i < last; i += 16) {
      const size_t here = last - i;
      const vfloat v = LOAD(x);
      sum = fma(v, v, sum);
    }
    total += sum_lanes(sum);
  }
  return total;
}
#undef LOAD
#undef STORE

// Some columns of a panel of any format as floats, 16 for each.
INLINE void expand_blocks(const mk_format_id id, const uint8_t *panel, size_t columns, size_t first, size_t count,
                          float *values, size_t stride) {
  const mk_format f = mk_format_of(id);
  const size_t cells = columns / MK_CELL;
  const int groups = MK_CELL / f.group, words_per_group = 8 / groups;
  const bool super = f.scales == SCALES_SUPER || f.scales == SCALES_SUPER_MINIMUM;
  const bool minimums = f.scales == SCALES_HALF_MINIMUM || f.scales == SCALES_SUPER_MINIMUM;
  const size_t per_block = minimums ? 64 : 32, per_cell = super ? (size_t)groups * per_block / 2 : 0;
  vfloat scale = all(0), minimum = all(0);
  for (size_t cell = first / MK_CELL; cell < (first + count) / MK_CELL; cell++) {
    vword words[8];
    unpack_cell(f, panel + cell * mk_code_bytes(f), words);
    const size_t block = super ? cell / 8 : cell, in_block = super ? cell % 8 : 0;
    const uint8_t *scales = panel + mk_scales_at(f, cells) + block * (per_block + 8 * per_cell);
    scale = halves_to_floats(load_halves(scales));
    if (minimums) minimum = halves_to_floats(load_halves(scales + 32));
    scales += per_block + in_block * per_cell;
    for (int g = 0; g < groups; g++) {
      vfloat d = scale, m = minimum;
      if (super) {
        d *= minimums ? bytes_to_floats(scales) : signed_bytes_to_floats(scales), scales += 16;
        if (minimums) m *= -bytes_to_floats(scales), scales += 16;
      }
      for (int j = g * words_per_group; j < (g + 1) * words_per_group; j++) {
        for (int c = 0; c < 4; c++, values += stride) {
          const vfloat product = d * ints_to_floats((vint)(words[j] >> (8 * c) & 255) - f.offset);
          store_floats(values, minimums ? product + m : product);
        }
      }
    }
  }
}

static void NAME(expand)(mk_format_id id, const void *panel, size_t columns, size_t first, size_t count, float *values,
                         size_t stride) {
  switch (id) {
#define X(name, format, ...) case format: expand_blocks(format, panel, columns, first, count, values, stride); break;
    MK_BLOCK_FORMATS(X)
#undef X
#define X(format)                                                                                            \
  case format:                                                                                               \
    for (size_t c = 0; c < count; c++) store_floats(values + c * stride, load_weights(format, panel, first + c)); \
    break;
    X(MK_F32) X(MK_F16) X(MK_BF16)
#undef X
    default: break;
  }
}
