// Compiled for AVX2 (setup.py).
#if defined(__AVX2__)
#define SIMD_BYTES 32
#define UNIT unit_avx2
#define UNIT_NAME "avx2"
#include "rows.hpp"
#endif
