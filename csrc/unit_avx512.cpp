// Compiled for AVX-512 F and BW (setup.py).
#if defined(__AVX512F__) && defined(__AVX512BW__)
#define SIMD_BYTES 64
#define UNIT unit_avx512
#define UNIT_NAME "avx512"
#include "rows.hpp"
#endif
