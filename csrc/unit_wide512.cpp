// The 512-bit code in the instructions of any CPU of the architecture: for tests of it where there is no AVX-512.
#if defined(__GNUC__)
#define SIMD_BYTES 64
#define UNIT unit_wide512
#define UNIT_NAME "wide512"
#include "rows.hpp"
#endif
