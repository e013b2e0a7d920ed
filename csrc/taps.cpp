#include "taps.hpp"

#include <algorithm>

namespace anonfilter {
namespace {

std::int64_t floor_div(std::int64_t a, std::int64_t b) { return a / b - (a % b < 0); }

}  // namespace

Taps::Taps(const Axis& axis, int total) {
  // Positions are integers over `unit`, in the plane's samples; at most 2^15 * 2^15 * 4, so 64 bits are plenty.
  const std::int64_t p = axis.numerator, q = axis.denominator, unit = axis.log2 ? 4 * p : p;
  const std::int64_t end = axis.first + axis.length;
  low = axis.first >> axis.log2;
  high = static_cast<int>((end + axis.log2) >> axis.log2);
  const std::int64_t step = axis.log2 ? 2 * q : q;
  const auto begin_of = [&](std::int64_t i) {
    const std::int64_t a = axis.reverse ? end * p - (i + 1) * q : axis.first * p + i * q;
    return axis.log2 ? 2 * a + (axis.cosited ? p : 0) : a;
  };
  const auto inside = [&](std::int64_t sample) {
    return static_cast<int>(std::min<std::int64_t>(std::max<std::int64_t>(sample, low), high - 1));
  };
  // The samples that [a, b) meets, or the two around its centre.
  const bool linear = step < unit;
  const auto first_of = [&](std::int64_t a) { return inside(linear ? floor_div(2 * a + step - unit, 2 * unit) : floor_div(a, unit)); };
  const auto last_of = [&](std::int64_t a) {
    return inside(linear ? floor_div(2 * a + step - unit, 2 * unit) + 1 : floor_div(a + step - 1, unit));
  };
  for (int i = 0; i < axis.outputs; ++i) width = std::max(width, last_of(begin_of(i)) - first_of(begin_of(i)) + 1);
  // Two inner loops, of four and of eight taps, serve most ratios; the spare taps weigh nothing.
  const int padded = width <= 4 ? 4 : width <= 8 ? 8 : width;
  if (padded <= high - low) width = padded;
  start.resize(static_cast<std::size_t>(axis.outputs));
  weights.assign(static_cast<std::size_t>(axis.outputs) * static_cast<std::size_t>(width), 0);
  for (int i = 0; i < axis.outputs; ++i) {
    const std::int64_t a = begin_of(i);
    const int base = std::min(first_of(a), high - width);
    start[static_cast<std::size_t>(i)] = base;
    std::uint16_t* weight = weights.data() + static_cast<std::ptrdiff_t>(i) * width;
    const auto add = [&](std::int64_t sample, int share) {
      std::uint16_t& to = weight[inside(sample) - base];
      to = static_cast<std::uint16_t>(to + share);
    };
    if (linear) {
      const std::int64_t centre = 2 * a + step - unit, left = floor_div(centre, 2 * unit);
      const auto share = static_cast<int>((2 * total * (centre - left * 2 * unit) + 2 * unit) / (4 * unit));
      add(left, total - share);
      add(left + 1, share);
      continue;
    }
    const std::int64_t from = std::max(a, low * unit), to = std::min(a + step, high * unit);
    if (to <= from) {  // chroma that lies beside its luma may miss the last sample altogether
      add(floor_div(a, unit), total);
      continue;
    }
    int before = 0;
    for (std::int64_t sample = from / unit; sample * unit < to; ++sample) {
      const std::int64_t covered = std::min(to, (sample + 1) * unit) - from;
      const int after = static_cast<int>((2 * total * covered + (to - from)) / (2 * (to - from)));
      add(sample, after - before);
      before = after;
    }
  }
}

}  // namespace anonfilter
