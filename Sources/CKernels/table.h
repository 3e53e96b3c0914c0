// The functions of one instruction set.
static void NAME(peak_float)(size_t rounds, float *sink) {
  vfloat sums[16];
  for (int i = 0; i < 16; i++) sums[i] = all(sink[i]);
  const vfloat x = all(sink[0]), y = all(sink[1]);
  for (size_t n = 0; n < rounds; n++) {
    for (int i = 0; i < 16; i++) sums[i] = fma(sums[i], x, y);
  }
  for (int i = 0; i < 16; i++) sink[i] = sum_lanes(sums[i]);
}

static void NAME(peak_int8)(size_t rounds, float *sink) {
  vint sums[16] = {0};
  vword x = (vword)all(sink[0]);
  uint32_t four;
  memcpy(&four, sink + 1, 4);
  for (size_t n = 0; n < rounds; n++) {
    for (int i = 0; i < 16; i++) sums[i] = dot4(sums[i], x, four);
    four += 1;
  }
  for (int i = 0; i < 16; i++) sink[i] = sum_lanes(ints_to_floats(sums[i]));
}

static uint64_t NAME(read_memory)(const void *bytes, size_t count) {
  const uint8_t *p = bytes;
  vword sums[8];
  memset(sums, 0, sizeof sums);
  for (size_t i = 0; i + 512 <= count; i += 512) {
    for (int v = 0; v < 8; v++) sums[v] += load_words(p + i + 64 * (size_t)v);
  }
  uint64_t total = 0;
  for (int v = 0; v < 8; v++) for (int i = 0; i < 16; i++) total += sums[v][i];
  return total;
}

#define ENTRY(name, id, ...) [id] = NAME(product_##name),
const mk_kernels NAME(mk_kernels) = {
    .name = ISA_NAME,
    .product = {MK_BLOCK_FORMATS(ENTRY) ENTRY(f32, MK_F32) ENTRY(f16, MK_F16) ENTRY(bf16, MK_BF16)},
    .quantize_tile = NAME(quantize_tile),
    .transpose_tile = NAME(transpose_tile),
    .rms_norm = NAME(rms_norm),
    .layer_norm = NAME(layer_norm),
    .add = NAME(add),
    .scale = NAME(scale),
    .gate = NAME(gate),
    .rotate = NAME(rotate),
    .log_sum_exp = NAME(log_sum_exp),
    .gate_gradients = NAME(gate_gradients),
    .rms_norm_gradients = NAME(rms_norm_gradients),
    .layer_norm_gradients = NAME(layer_norm_gradients),
    .softmax_gradient = NAME(softmax_gradient),
    .exponentials = NAME(exponentials),
    .adam = NAME(adam),
    .combine = NAME(combine),
    .sum_of_squares = NAME(sum_of_squares),
    .expand = NAME(expand),
    .pack = GEMM_ENTRY(pack),
    .pack_both = GEMM_ENTRY(pack_both),
    .gemm = GEMM_ENTRY(gemm),
    .gemm_rows = GEMM_ENTRY(gemm_rows),
    .dense_scores = NAME(dense_scores),
    .softmax = NAME(softmax),
    .dense_values = NAME(dense_values),
    .encode_query = NAME(encode_query),
    .store_token = NAME(store_token),
    .load_token = NAME(load_token),
    .expand_page = NAME(expand_page),
    .attend_page = NAME(attend_page),
    .merge_rows = NAME(merge_rows),
    .finish_row = NAME(finish_row),
    .read_memory = NAME(read_memory),
    .peak_float = NAME(peak_float),
    .peak_pairs = GEMM_ENTRY(peak_pairs),
    .peak_int8 = NAME(peak_int8),
};
