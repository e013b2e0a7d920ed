// CUDA's words for a host compiler, so that tests run the kernels' sources on machines without a GPU.
//
// A thread of a block is a fibre, which runs up to its next barrier or shuffle; a warp runs up to its next barrier before
// the next warp starts. So a missing barrier shows: the first warp reads what the others have not written yet, or
// overwrites what they have not read.
#pragma once

#include <cstddef>
#include <cstdint>

#define __device__
#define __global__
#define __launch_bounds__(n)

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
