// CUDA's words for a host compiler, so that tests run the kernels' sources on machines without a GPU.
//
// A thread of a block is a fibre, which runs up to its next barrier or shuffle; a warp runs up to its next barrier
// before the next warp starts. So a missing barrier shows: the first warp reads what the others have not written
// yet, or overwrites what they have not read.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

#define __device__
#define __global__
#define __launch_bounds__(threads, blocks)

// Shared memory is filled with a pattern before each block, and has such a border behind each array.
#define SHARED(type, name, n) type* const name = static_cast<type*>(shim::shared(__LINE__, sizeof(type) * (n)))

#ifndef ANONFILTER_DROP_BARRIER
#define ANONFILTER_DROP_BARRIER 0
#endif
#define BARRIER(site)                                                  \
  do {                                                                 \
    if constexpr ((site) != ANONFILTER_DROP_BARRIER) shim::barrier(site); \
  } while (0)

namespace shim {

struct Index {
  unsigned x;
};

void* shared(int line, std::size_t bytes);
void barrier(int site);

// IEEE 754 binary16, ties to even.
inline std::uint16_t half_bits(float value) {
  std::uint32_t bits;
  std::memcpy(&bits, &value, sizeof bits);
  const std::uint32_t sign = bits >> 16 & 0x8000u, magnitude = bits & 0x7fffffffu;
  if (magnitude > 0x7f800000u) return static_cast<std::uint16_t>(sign | 0x7fffu);
  if (magnitude >= 0x477ff000u) return static_cast<std::uint16_t>(sign | 0x7c00u);
  // Below 2^-14 the step is 2^-24; the implicit bit moves right with the exponent.
  const int exponent = static_cast<int>(magnitude >> 23) - 127;
  if (exponent < -25) return static_cast<std::uint16_t>(sign);
  const int drop = exponent < -14 ? -1 - exponent : 13;
  const std::uint32_t kept = exponent < -14 ? (magnitude & 0x7fffffu) | 0x800000u : magnitude - ((127u - 15u) << 23);
  const std::uint32_t half = kept >> drop, rest = kept & ((1u << drop) - 1u), middle = 1u << (drop - 1);
  return static_cast<std::uint16_t>(sign | (half + (rest > middle || (rest == middle && (half & 1u)))));
}

// All lanes of the warp hand in a value; then each may look at any.
const std::uint32_t* exchange(std::uint32_t value);

}  // namespace shim

extern shim::Index threadIdx, blockIdx;

inline std::uint32_t __shfl_up_sync(unsigned, std::uint32_t value, int d) {
  const int lane = static_cast<int>(threadIdx.x % 32);
  return shim::exchange(value)[lane >= d ? lane - d : lane];
}

inline std::uint32_t __shfl_down_sync(unsigned, std::uint32_t value, int d) {
  const int lane = static_cast<int>(threadIdx.x % 32);
  return shim::exchange(value)[lane + d < 32 ? lane + d : lane];
}
