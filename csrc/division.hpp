// Rounded division by the sample counts of windows, as one multiplication: (S + n/2) / n, exactly.
//
// With 2^s < n <= 2^(s+1) and m = ceil(2^(32+s) / n) < 2^32, (a*m) >> (32+s) is floor(a/n) whenever
// a * (m*n - 2^(32+s)) < 2^(32+s); here a < n * 2^16 and m*n - 2^(32+s) < n, so n^2 <= 2^(16+s) suffices, which holds
// for all n <= 2^15. Counts of up to 2^(s+2) can share the shift s where 2^(2s+4) <= 2^(16+s), that is s <= 12.
#pragma once

#include <cstdint>
#include <vector>

#include "unit.hpp"

namespace anonfilter {

constexpr int max_shared_first = 8192;  // counts from here to twice as many share a shift

// Of sums of n samples, 2..32767.
Division division_by(int n);

// Number of samples in the window of sample i of `size`.
inline int window_samples(int i, int h, int size) {
  const int low = i > h ? i - h : 0, high = i + h + 1 < size ? i + h + 1 : size;
  return high - low;
}

// Memory and tables of unit.hpp's Window, for rows of at most `longest` samples.
class WindowTables {
 public:
  const Window& reset(int h, int longest);

 private:
  Window window_{};
  int longest_ = 0;
  std::vector<std::uint32_t> up_multiplier_, up_half_, down_multiplier_, down_half_;
};

// The division of every sample of a column of `size`.
class ColumnDivisions {
 public:
  const Division* reset(int h, int size);

 private:
  int h_ = 0, size_ = 0;
  std::vector<Division> divisions_;
};

}  // namespace anonfilter
