// Which instruction sets this processor can run, asked once at run time.
#include "include/CKernels.h"

extern const mk_kernels mk_kernels_scalar;
#if defined(__x86_64__)
extern const mk_kernels mk_kernels_avx2, mk_kernels_avx512;
#endif

bool mk_isa_supported(mk_isa isa) {
  switch (isa) {
    case MK_SCALAR: return true;
#if defined(__x86_64__)
    case MK_AVX2:
      return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("f16c");
    case MK_AVX512:
      return mk_isa_supported(MK_AVX2) && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
             __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq") &&
             __builtin_cpu_supports("avx512vnni");
#endif
    default: return false;
  }
}

bool mk_has_native_pairs(void) {
#if defined(__x86_64__)
  return mk_isa_supported(MK_AVX512) && __builtin_cpu_supports("avx512bf16");
#else
  return false;
#endif
}

const mk_kernels *mk_kernels_of(mk_isa isa) {
  switch (isa) {
    case MK_SCALAR: return &mk_kernels_scalar;
#if defined(__x86_64__)
    case MK_AVX2: return &mk_kernels_avx2;
    case MK_AVX512: return &mk_kernels_avx512;
#endif
    default: return NULL;
  }
}
