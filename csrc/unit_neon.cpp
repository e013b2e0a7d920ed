// NEON is part of every 64-bit ARM: no flags.
#if defined(__aarch64__)
#define SIMD_BYTES 16
#define UNIT unit_neon
#define UNIT_NAME "neon"
#include "rows.hpp"
#endif
