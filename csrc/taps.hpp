// Weights of one axis of the letterbox's resampling; kernels/ref_letterbox.py says how they are made.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace anonfilter {

struct Axis {
  int outputs;      // tensor samples along the axis
  int first, length;  // luma samples that they show
  int numerator, denominator;  // tensor samples per luma sample
  bool reverse;
  int log2;      // 1: the plane is subsampled
  bool cosited;  // its samples lie on luma sample 2i, not between 2i and 2i+1
};

// Output i = sum of weight(i)[k] * sample[start[i] + k], k < width; the same width for all, zeros where unused.
struct Taps {
  Taps(const Axis& axis, int total);
  const std::uint16_t* weight(int i) const { return weights.data() + static_cast<std::ptrdiff_t>(i) * width; }

  int low, high;  // all samples lie in low..high-1
  int width = 1;
  std::vector<int> start;
  std::vector<std::uint16_t> weights;
};

}  // namespace anonfilter
