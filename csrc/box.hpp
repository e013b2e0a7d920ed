// Means of sliding windows over rows of 16-bit samples, each rounded: (S + n/2) / n, exactly.
#pragma once

#include <cstdint>
#include <vector>

namespace anonfilter {

// Division by the sample counts of one window along one axis, without divisions.
//
// The counts n of a window of 2h+1 samples in `size` lie in first..2*first-1 with first = min(h+1, size). With
// 2^s < first <= 2^(s+1) and m = ceil(2^(32+s) / n) < 2^32, (a*m) >> (32+s) is floor(a/n) whenever
// a * (m*n - 2^(32+s)) < 2^(32+s); here a < n * 2^16 and m*n - 2^(32+s) < n, so n^2 <= 2^(16+s) suffices, which
// holds for first <= 8192. Beyond that, and for first = 1, `wide` counts are divided in 64 bits.
class Counts {
 public:
  void reset(int h, int size);

  struct Count {
    std::uint32_t multiplier;
    std::uint32_t half;  // n / 2
  };
  int h() const { return h_; }
  int size() const { return size_; }
  int shift() const { return shift_; }
  bool wide() const { return wide_; }
  // Number of samples in the window of sample i.
  int samples(int i) const {
    const int low = i > h_ ? i - h_ : 0, high = i + h_ + 1 < size_ ? i + h_ + 1 : size_;
    return high - low;
  }
  Count at(int i) const {
    const int n = samples(i);
    return {multiplier_[static_cast<std::size_t>(n - first_)], static_cast<std::uint32_t>(n / 2)};
  }
  // at(i) of every sample, as two arrays.
  const std::uint32_t* multipliers() const { return row_multiplier_.data(); }
  const std::uint32_t* halves() const { return row_half_.data(); }

 private:
  int h_ = 0, size_ = 0, first_ = 1, shift_ = 0;
  bool wide_ = false;
  std::vector<std::uint32_t> multiplier_, row_multiplier_, row_half_;
};

// The inner loops, one row at a time; the only code that a faster unit has to replace.
struct BoxRows {
  const char* name;

  // Windowed means along a row of counts.size() samples; out may be in. sums: room for size + 1 sums.
  void (*along)(const std::uint16_t* in, std::uint16_t* out, const Counts& counts, std::uint32_t* sums);

  // sums[i] += in[i].
  void (*add)(std::uint32_t* sums, const std::uint16_t* in, int n);

  // out[i] = mean of the column sums with `count` samples in each; then sums[i] += enter[i] - leave[i].
  void (*down)(std::uint32_t* sums, const std::uint16_t* enter, const std::uint16_t* leave, std::uint16_t* out, int n,
               Counts::Count count, int shift);
};

// Chosen once, at the first call.
const BoxRows& box_rows();

// The same means where only the samples of a mask count (mask: 0 or 1, row stride = n). Samples off the mask are 0.
// counts: running number of mask samples left of each sample, n + 1 of them.
void masked_along(const std::uint16_t* in, std::uint16_t* out, const std::uint8_t* mask, const std::uint16_t* counts, int n,
                  int h, std::uint32_t* sums);
void masked_down(std::uint32_t* sums, std::uint16_t* counts, const std::uint16_t* enter, const std::uint16_t* leave,
                 const std::uint8_t* mask_enter, const std::uint8_t* mask, const std::uint8_t* mask_leave, std::uint16_t* out,
                 int n);

}  // namespace anonfilter
