#include "box.hpp"

#include <algorithm>
#include <cstddef>

namespace anonfilter {
namespace {

inline std::uint32_t mean(std::uint32_t sum, std::uint32_t half, std::uint32_t multiplier, int shift) {
  return static_cast<std::uint32_t>((static_cast<std::uint64_t>(sum + half) * multiplier) >> 32) >> shift;
}

void wide_along(const std::uint32_t* sums, std::uint16_t* out, const Counts& counts) {
  const int n = counts.size(), h = counts.h();
  for (int i = 0; i < n; ++i) {
    const std::uint32_t s = sums[std::min(i + h + 1, n)] - sums[std::max(i - h, 0)];
    const auto k = static_cast<std::uint32_t>(counts.samples(i));
    out[i] = static_cast<std::uint16_t>((s + k / 2) / k);
  }
}

void along(const std::uint16_t* in, std::uint16_t* out, const Counts& counts, std::uint32_t* sums) {
  // std::ptrdiff_t, not int: Python builds with -fwrapv, where an int index that may wrap keeps a loop scalar.
  const std::ptrdiff_t n = counts.size(), h = counts.h();
  std::uint32_t total = 0;
  for (std::ptrdiff_t i = 0; i < n; ++i) {
    sums[i] = total;
    total += in[i];
  }
  sums[n] = total;
  if (counts.wide()) return wide_along(sums, out, counts);
  const std::uint32_t* __restrict multiplier = counts.multipliers();
  const std::uint32_t* __restrict half = counts.halves();
  std::uint16_t* __restrict to = out;
  const std::uint32_t* __restrict s = sums;
  const int shift = counts.shift();
  // Up to `left` the window begins at the row's start, from `right` on it reaches the row's end.
  const std::ptrdiff_t left = std::min(h, n), right = std::max<std::ptrdiff_t>(n - h - 1, 0);
  for (std::ptrdiff_t i = 0; i < std::min(left, right); ++i)
    to[i] = static_cast<std::uint16_t>(mean(s[i + h + 1], half[i], multiplier[i], shift));
  for (std::ptrdiff_t i = right; i < left; ++i) to[i] = static_cast<std::uint16_t>(mean(total, half[i], multiplier[i], shift));
  const std::uint32_t middle_half = half[n / 2], middle_multiplier = multiplier[n / 2];
  for (std::ptrdiff_t i = left; i < right; ++i)
    to[i] = static_cast<std::uint16_t>(mean(s[i + h + 1] - s[i - h], middle_half, middle_multiplier, shift));
  for (std::ptrdiff_t i = std::max(left, right); i < n; ++i)
    to[i] = static_cast<std::uint16_t>(mean(total - s[i - h], half[i], multiplier[i], shift));
}

void add(std::uint32_t* __restrict sums, const std::uint16_t* __restrict in, int n) {
  for (std::ptrdiff_t i = 0; i < n; ++i) sums[i] += in[i];
}

void down(std::uint32_t* __restrict sums, const std::uint16_t* __restrict enter, const std::uint16_t* __restrict leave,
          std::uint16_t* __restrict out, int n, Counts::Count count, int shift) {
  for (std::ptrdiff_t i = 0; i < n; ++i) {
    const std::uint32_t s = sums[i];
    out[i] = static_cast<std::uint16_t>(mean(s, count.half, count.multiplier, shift));
    sums[i] = s + enter[i] - leave[i];
  }
}

// floor(a / n) = (a * inverse[n]) >> 47 for a < n * 2^16 and n < 2^15: inverse = ceil(2^47 / n) errs by less than n,
// and n * 2^16 * n < 2^47 only up to n = 46340.
struct Inverses {
  Inverses() {
    value[0] = 0;
    for (std::uint64_t n = 1; n < 32768; ++n) value[n] = ((std::uint64_t{1} << 47) + n - 1) / n;
  }
  std::uint64_t value[32768];
};

const std::uint64_t* inverses() {
  static const Inverses table;
  return table.value;
}

}  // namespace

void Counts::reset(int h, int size) {
  if (h == h_ && size == size_) return;
  h_ = h;
  size_ = size;
  first_ = std::min(h + 1, size);
  const int last = std::min(2 * h + 1, size);
  wide_ = first_ == 1 || first_ > 8192;
  shift_ = 0;
  if (wide_) return;
  while ((2 << shift_) < first_) ++shift_;
  multiplier_.resize(static_cast<std::size_t>(last - first_ + 1));
  for (int n = first_; n <= last; ++n) {
    const auto count = static_cast<std::uint64_t>(n);
    multiplier_[static_cast<std::size_t>(n - first_)] =
        static_cast<std::uint32_t>(((std::uint64_t{1} << (32 + shift_)) + count - 1) / count);
  }
  row_multiplier_.resize(static_cast<std::size_t>(size));
  row_half_.resize(static_cast<std::size_t>(size));
  for (int i = 0; i < size; ++i) {
    const Count count = at(i);
    row_multiplier_[static_cast<std::size_t>(i)] = count.multiplier;
    row_half_[static_cast<std::size_t>(i)] = count.half;
  }
}

const BoxRows& box_rows() {
  static const BoxRows portable{"portable", along, add, down};
  return portable;
}

void masked_along(const std::uint16_t* in, std::uint16_t* out, const std::uint8_t* mask, const std::uint16_t* counts, int n,
                  int h, std::uint32_t* sums) {
  const std::uint64_t* inverse = inverses();
  std::uint32_t total = 0;
  for (int i = 0; i < n; ++i) {
    sums[i] = total;
    total += in[i];
  }
  sums[n] = total;
  for (int i = 0; i < n; ++i) {
    if (!mask[i]) {
      out[i] = 0;
      continue;
    }
    const int low = std::max(i - h, 0), high = std::min(i + h + 1, n);
    const std::uint32_t k = static_cast<std::uint32_t>(counts[high] - counts[low]);
    const std::uint64_t a = static_cast<std::uint64_t>(sums[high] - sums[low]) + k / 2;
    out[i] = static_cast<std::uint16_t>((a * inverse[k]) >> 47);
  }
}

void masked_down(std::uint32_t* sums, std::uint16_t* counts, const std::uint16_t* enter, const std::uint16_t* leave,
                 const std::uint8_t* mask_enter, const std::uint8_t* mask, const std::uint8_t* mask_leave, std::uint16_t* out,
                 int n) {
  const std::uint64_t* inverse = inverses();
  for (int i = 0; i < n; ++i) {
    const std::uint32_t k = counts[i];
    const std::uint64_t a = static_cast<std::uint64_t>(sums[i]) + k / 2;
    out[i] = static_cast<std::uint16_t>(mask[i] ? (a * inverse[k]) >> 47 : 0);
    sums[i] += static_cast<std::uint32_t>(enter[i]) - leave[i];
    counts[i] = static_cast<std::uint16_t>(counts[i] + mask_enter[i] - mask_leave[i]);
  }
}

}  // namespace anonfilter
