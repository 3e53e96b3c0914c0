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

typedef enum { MK_SILU, MK_GELU_TANH, MK_GELU } mk_activation;

/// What attention over one page needs of one query row.
typedef struct {
  const float *query;  // [head_width]
  float *state;        // [head_width + 2]: weighted values, then the running maximum and the running sum
  int first, last;     // the keys of this page that the row sees: first ..< last
} mk_row;

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
  /// y = activation(gate) × up
  void (*gate)(mk_activation activation, const float *gate, const float *up, size_t count, float *y);
  /// Turns pairs (2i, 2i + 1), or (i, i + rotated / 2) when `halves`, by the angles of cosines and sines
  /// `[rotated / 2]`; columns past `rotated` are copied.
  void (*rotate)(const float *x, const float *cosines, const float *sines, size_t width, size_t rotated, bool halves,
                 float *y);
  /// Natural logarithm of Σ exp(x), with the maximum in `*maximum`.
  float (*log_sum_exp)(const float *x, size_t count, float *maximum);

  void (*to_f16)(const float *x, size_t count, uint16_t *y);
  void (*from_f16)(const uint16_t *x, size_t count, float *y);

  /// Attention of `count` ≤ 4 rows over one page of 64 keys. Keys are `[4][head_width][16]`, values
  /// `[64][head_width]`, both f16. `head_width` is a multiple of 16. Rows that see nothing are left alone.
  void (*attend_page)(const uint16_t *keys, const uint16_t *values, size_t head_width, float scale, const mk_row *rows,
                      int count);
  /// Merges the state of a later page into the state of the earlier ones, or, with `later` nil, divides by the sum.
  void (*merge_states)(float *state, const float *later, size_t head_width);
  /// One key or value `[head_width]` as 8-bit codes, `code_step` apart, with an f16 scale per 32, `scale_step` apart.
  /// `head_width` is a multiple of 16.
  void (*store_codes)(const float *x, size_t head_width, int8_t *codes, size_t code_step, uint16_t *scales,
                      size_t scale_step);
  /// A page of codes as the f16 page that attend_page reads. `head_width` is a multiple of 16.
  void (*expand_page)(const int8_t *key_codes, const uint16_t *key_scales, const int8_t *value_codes,
                      const uint16_t *value_scales, size_t head_width, uint16_t *keys, uint16_t *values);

  // For measuring the machine's limits.
  /// Reads all bytes once; the result depends on each.
  uint64_t (*read_memory)(const void *bytes, size_t count);
  /// 16 × 16 independent float multiply-adds a round, in registers. `sink` holds 16 floats.
  void (*peak_float)(size_t rounds, float *sink);
  /// 16 × 64 byte multiply-adds a round, in registers.
  void (*peak_int8)(size_t rounds, float *sink);
} mk_kernels;

typedef enum { MK_SCALAR, MK_AVX2, MK_AVX512, MK_ISAS } mk_isa;

/// Whether this processor can run the instruction set.
bool mk_isa_supported(mk_isa isa);
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
