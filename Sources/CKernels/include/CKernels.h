// The SIMD loops of Malmoi. Every loop is written once over 16 lanes and compiled once per instruction set; a table of
// functions is chosen at run time. All paths give the same bits: each lane does the same IEEE operations in the same
// order, whatever the number of tokens, so an answer depends neither on the machine nor on the batch.
#ifndef CKERNELS_H
#define CKERNELS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/// Rows of a weight matrix that share one panel: the lanes of a vector.
#define MK_LANES 16
/// Tokens whose activations share one tile.
#define MK_TILE 16
/// Columns that share one activation scale.
#define MK_CELL 32

/// Weight formats, numbered as Tensors.DataType.
typedef enum {
  MK_F32, MK_F16, MK_BF16,
  MK_Q4_0, MK_Q4_1, MK_Q5_0, MK_Q5_1, MK_Q8_0,
  MK_Q2_K, MK_Q3_K, MK_Q4_K, MK_Q5_K, MK_Q6_K,
  MK_IQ4_NL, MK_IQ4_XS,
  MK_FORMATS
} mk_format_id;

/// What a cell of 32 activations of one token is multiplied with after the integer sum.
typedef struct {
  float scale;        // value = scale × code
  int32_t sum;        // of the 32 codes, each 256 × high + low
  int32_t first_sum;  // of the first 16 codes
  float scaled_sum;   // scale × sum
} mk_cell;

/// One tile of activations, ready for a product: `width` (1, 2, 4, 8 or 16) tokens side by side.
typedef struct {
  const int8_t *codes;    // [cells][width][64], 32 codes of 16 bits as the instruction set likes them, for block formats
  const mk_cell *cells;   // [cells][width]
  const float *values;    // [columns][width], for float formats
  int width;
} mk_tile;

/// Rows `[16 panels, …)` of a product: y[token × stride + row] for the tile's first `tokens` tokens.
typedef void (*mk_product)(const void *panels, size_t panel_count, size_t columns, mk_tile tile, int tokens,
                           float *y, size_t stride);

typedef enum { MK_SILU, MK_GELU_TANH, MK_GELU, MK_RELU, MK_TANH } mk_activation;

/// Where the keys and values of 64 tokens under one head are: codes, a scale per key and value, and, where codes have 8
/// bits, a whole factor per 32 of them (otherwise NULL). A number is scale × factor × code.
typedef struct {
  void *keys, *values;
  float *key_scales, *value_scales;
  uint16_t *key_factors, *value_factors;
} mk_page;

/// One query and what attention has found so far.
typedef struct {
  const int16_t *query;  // codes `[head_width]`
  float scale;           // of the product of query and key codes
  int32_t begin, end;    // the positions that the query sees
  float maximum, sum;    // of the scores and of their exponentials; −∞ and 0 at first
  float *weighted;       // values × exponentials `[head_width]`, zeros at first
} mk_row;

/// One step of Adam.
typedef struct {
  float gradient_factor;    // what gradients are multiplied with first
  float beta1, beta2, epsilon;
  float rate;               // learning rate / (1 − beta1 ^ step)
  float decay;              // learning rate × weight decay
  float square_correction;  // √(1 − beta2 ^ step)
} mk_adam;

typedef struct {
  const char *name;

  mk_product product[MK_FORMATS];

  /// x `[tokens ≤ width, columns]` → codes and cells of a tile; missing tokens become zeros.
  void (*quantize_tile)(const float *x, size_t columns, int tokens, int width, int8_t *codes, mk_cell *cells);
  /// x `[tokens ≤ width, columns]` → values of a tile.
  void (*transpose_tile)(const float *x, size_t columns, int tokens, int width, float *values);

  /// y = x / rms(x) × weight
  void (*rms_norm)(const float *x, const float *weight, float epsilon, size_t width, float *y);
  void (*add)(const float *x, const float *y, size_t count, float *z);
  void (*scale)(const float *x, float factor, size_t count, float *y);
  /// y = (x − mean) / deviation × weight + bias; no bias where it is NULL
  void (*layer_norm)(const float *x, const float *weight, const float *bias, float epsilon, size_t width, float *y);
  /// y = activation(gate) × up; activation(gate) alone where up is NULL
  void (*gate)(mk_activation activation, const float *gate, const float *up, size_t count, float *y);
  /// Turns pairs (2i, 2i + 1), or (i, i + rotated / 2) when `halves`, by the angles of cosines and sines
  /// `[rotated / 2]`; columns past `rotated` are copied.
  void (*rotate)(const float *x, const float *cosines, const float *sines, size_t width, size_t rotated, bool halves,
                 float *y);
  /// Natural logarithm of Σ exp(x), with the maximum in `*maximum`.
  float (*log_sum_exp)(const float *x, size_t count, float *maximum);

  // Gradients and the step of an optimizer. `dy` is the gradient with respect to a result.
  /// With respect to the gate, and to up where `dup` is not NULL; `up` is NULL where there is none.
  void (*gate_gradients)(mk_activation activation, const float *dy, const float *gate, const float *up, size_t count,
                         float *dgate, float *dup);
  /// Of one row with respect to x, and added to dweight; either may be NULL.
  void (*rms_norm_gradients)(const float *dy, const float *x, const float *weight, float epsilon, size_t width,
                             float *dx, float *dweight);
  void (*layer_norm_gradients)(const float *dy, const float *x, const float *weight, float epsilon, size_t width,
                               float *dx, float *dweight);
  /// Times `factor`, of a row of weights y that sum to 1.
  void (*softmax_gradient)(const float *dy, const float *y, size_t count, float factor, float *dx);
  /// y = factor × exp(x − shift)
  void (*exponentials)(const float *x, float shift, float factor, size_t count, float *y);
  void (*adam)(const mk_adam *how, const float *gradient, size_t count, float *weight, float *mean, float *square);
  /// x = a x + b y
  void (*combine)(float a, float b, const float *y, size_t count, float *x);
  double (*sum_of_squares)(const float *x, size_t count);

  /// Columns `first ..< first + count` of a panel of a weight as floats, 16 for each column, `stride` apart; of quantized
  /// weights both numbers are multiples of MK_CELL.
  void (*expand)(mk_format_id format, const void *panel, size_t columns, size_t first, size_t count, float *values,
                 size_t stride);

  // Products of two matrices, y `[rows, right rows]` = left · rightᵀ, both in panels of 16 rows (gemm.h): floats
  /// `[columns][16]`, or pairs of bf16 `[(columns + 1) / 2][16]`.
  /// Packs up to 16 rows; either stride is 1. Rows and columns that are missing become zeros.
  void (*pack)(bool pairs, const float *x, size_t row_stride, size_t column_stride, size_t rows, size_t columns,
               float *panel);
  /// Packs up to 16 rows, and beside them the rows of the transpose: `turned` is the place of these columns of the
  /// transpose in its first panel, `apart` floats before that in the next one.
  void (*pack_both)(bool pairs, const float *x, size_t stride, size_t rows, size_t columns, float *panel, float *turned,
                    size_t apart);
  /// - left_words: from one left panel to the next; more than these columns take where they are a part of more.
  /// - add: whether the products are added to what y holds.
  void (*gemm)(bool pairs, const float *left, size_t left_words, size_t rows, const float *right, size_t right_rows,
               size_t columns, float *y, size_t stride, bool add);
  /// y `[rows, columns]` = left · right, in floats: left in panels `[count][16]`, right `[count, columns]` in rows as it
  /// is, `right_stride` apart. For few rows, where packing would take longer than the product.
  void (*gemm_rows)(const float *left, size_t rows, const float *right, size_t right_stride, size_t count,
                    size_t columns, float *y, size_t stride, bool add);

  // Attention over keys and values in f32. `width` is a multiple of 16.
  /// Scores of up to 4 queries with all keys: keys `[panels][width][16]` → scores `[16 panels]` each.
  void (*dense_scores)(const float *const *queries, int count, const float *keys, size_t panels, size_t width,
                       float *const *scores);
  /// Scores `[count]` to weights that sum to 1 from `first` to `last`, and 0 elsewhere. A score is first scaled, then
  /// gets its bias (none where NULL), then is bent to stay within ± cap (not where 0).
  void (*softmax)(float *scores, size_t count, size_t first, size_t last, float scale, const float *bias, float cap);
  /// Weighted sums of values, `stride` apart, for up to 4 queries → `[width]` each; of those that a query sees, from
  /// its `first` to its `last`.
  void (*dense_values)(const float *const *weights, int count, const float *values, size_t stride, const size_t *first,
                       const size_t *last, size_t width, float *const *outputs);

  // Attention over pages. `head_width` is a multiple of 16.
  /// A query as codes. Returns the scale of their products with keys' codes.
  float (*encode_query)(const float *x, size_t head_width, float scale, int16_t *codes);
  /// Puts one token's key and value into a page.
  void (*store_token)(const mk_page *page, int slot, size_t head_width, const float *key, const float *value);
  /// One token's key and value as attention computes with them.
  void (*load_token)(const mk_page *page, int slot, size_t head_width, float *key, float *value);
  /// A page of 8-bit codes as the codes of the 16-bit page that attend_page reads.
  void (*expand_page)(const mk_page *page, size_t head_width, int16_t *keys, int16_t *values);
  /// Adds a page of 16-bit codes, which begins at position `start`, to what rows have found. Meanwhile the codes of the
  /// following page, or NULL, are brought near. Scores are bent to stay within ± cap, unless it is 0.
  void (*attend_page)(const mk_page *page, const mk_page *following, int start, size_t head_width, float cap,
                      mk_row *rows, int count);
  /// Adds what the same queries have found in later pages.
  void (*merge_rows)(mk_row *rows, const mk_row *later, int count, size_t head_width);
  /// The result `[head_width]`: weighted values / sum.
  void (*finish_row)(const mk_row *row, size_t head_width, float *output);

  // For measuring the machine's limits.
  /// Reads all bytes once; the result depends on each.
  uint64_t (*read_memory)(const void *bytes, size_t count);
  /// 16 × 16 independent float multiply-adds a round, in registers. `sink` holds 16 floats.
  void (*peak_float)(size_t rounds, float *sink);
  /// 16 × 32 multiply-adds of bf16 a round, in registers.
  void (*peak_pairs)(size_t rounds, float *sink);
  /// 16 × 64 byte multiply-adds a round, in registers.
  void (*peak_int8)(size_t rounds, float *sink);
} mk_kernels;

typedef enum { MK_SCALAR, MK_AVX2, MK_AVX512, MK_ISAS } mk_isa;

/// Whether this processor can run the instruction set.
bool mk_isa_supported(mk_isa isa);
/// Whether this processor multiplies pairs of bf16 with one instruction.
bool mk_has_native_pairs(void);
/// The table of one instruction set, or NULL when this build lacks it.
const mk_kernels *mk_kernels_of(mk_isa isa);

/// Bytes of one panel (16 rows) of `columns` columns. Block formats need whole blocks.
size_t mk_panel_bytes(mk_format_id format, size_t columns);
/// Packs up to 16 rows, `row_bytes` apart in ggml's layout, into one panel; missing rows become zeros.
void mk_pack_panel(mk_format_id format, const void *rows, size_t row_bytes, int row_count, size_t columns, void *panel);
/// Row `lane` of a panel as floats.
void mk_unpack_row(mk_format_id format, const void *panel, int lane, size_t columns, float *values);

/// Asks for bytes to be brought near. The address need not be valid.
static inline void mk_fetch(const void *bytes, size_t count) {
  for (size_t i = 0; i < count; i += 64) __builtin_prefetch((const char *)bytes + i, 0, 2);
}

static inline void mk_pause(void) {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  __asm__ volatile("yield");
#endif
}

#endif
