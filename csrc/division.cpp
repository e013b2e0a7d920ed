#include "division.hpp"

#include <algorithm>

namespace anonfilter {
namespace {

int shift_of(int n) {
  int shift = 0;
  while ((std::int64_t{2} << shift) < n) ++shift;
  return shift;
}

std::uint32_t multiplier_of(int n, int shift) {
  const auto count = static_cast<std::uint64_t>(n);
  return static_cast<std::uint32_t>(((std::uint64_t{1} << (32 + shift)) + count - 1) / count);
}

}  // namespace

Division division_by(int n) {
  const int shift = shift_of(n);
  return {multiplier_of(n, shift), static_cast<std::uint32_t>(n / 2), shift};
}

const Window& WindowTables::reset(int h, int longest) {
  if (h == window_.h && longest == longest_) return window_;
  window_ = {};
  window_.h = h;
  longest_ = longest;
  if (longest <= h + 1) return window_;
  window_.full = division_by(2 * h + 1);
  window_.wide = h + 1 > max_shared_first;
  if (window_.wide) return window_;
  window_.shift = shift_of(h + 1);
  const std::size_t size = static_cast<std::size_t>(h) + 1 + static_cast<std::size_t>(row_slack);
  for (auto* table : {&up_multiplier_, &up_half_, &down_multiplier_, &down_half_}) table->assign(size, 0);
  for (int i = 0; i <= h; ++i) {
    const int n = h + 1 + i;
    const auto up = static_cast<std::size_t>(i), down = static_cast<std::size_t>(h - i);
    up_multiplier_[up] = down_multiplier_[down] = multiplier_of(n, window_.shift);
    up_half_[up] = down_half_[down] = static_cast<std::uint32_t>(n / 2);
  }
  window_.up_multiplier = up_multiplier_.data();
  window_.up_half = up_half_.data();
  window_.down_multiplier = down_multiplier_.data();
  window_.down_half = down_half_.data();
  return window_;
}

const Division* ColumnDivisions::reset(int h, int size) {
  if (h == h_ && size == size_) return divisions_.data();
  h_ = h;
  size_ = size;
  divisions_.resize(static_cast<std::size_t>(size));
  Division last{};
  for (int i = 0, samples = 0; i < size; ++i) {
    const int n = window_samples(i, h, size);
    if (n != samples && n > 1) last = division_by(n);
    samples = n;
    divisions_[static_cast<std::size_t>(i)] = last;
  }
  return divisions_.data();
}

}  // namespace anonfilter
