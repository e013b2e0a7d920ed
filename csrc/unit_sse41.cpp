// Compiled for SSE4.1 (setup.py): any x86-64 since 2008.
#if defined(__SSE4_1__)
#define SIMD_BYTES 16
#define UNIT unit_sse41
#define UNIT_NAME "sse4.1"
#include "rows.hpp"
#endif
