// The unit for any CPU: one sample at a time, with divisions where a table is not worth it.
#include "loops.hpp"
#include "unit.hpp"

namespace anonfilter {
namespace {

inline std::uint16_t mean(std::uint32_t sum, std::uint32_t multiplier, std::uint32_t half, int shift) {
  const std::uint64_t product = static_cast<std::uint64_t>(sum + half) * multiplier;
  return static_cast<std::uint16_t>(static_cast<std::uint32_t>(product >> 32) >> shift);
}

inline std::uint16_t divide(std::uint32_t sum, std::ptrdiff_t count) {
  const auto n = static_cast<std::uint32_t>(count);
  return static_cast<std::uint16_t>((sum + n / 2) / n);
}

void along(const std::uint16_t* __restrict in, std::uint16_t* __restrict out, std::ptrdiff_t n, const Window& window,
           std::uint32_t* __restrict room) {
  std::uint32_t* __restrict before = room + sums_before;  // sum of the samples before i
  before[0] = 0;
  for (std::ptrdiff_t i = 0; i < n; ++i) before[i + 1] = before[i] + in[i];
  const std::ptrdiff_t h = window.h;
  const auto sum = [&](std::ptrdiff_t i) { return before[i + h + 1 < n ? i + h + 1 : n] - before[i > h ? i - h : 0]; };
  const auto samples = [&](std::ptrdiff_t i) { return (i + h + 1 < n ? i + h + 1 : n) - (i > h ? i - h : 0); };
  if (window.wide || n <= h + 1) {
    for (std::ptrdiff_t i = 0; i < n; ++i) out[i] = divide(sum(i), samples(i));
  } else {
    for (std::ptrdiff_t i = 0; i < n; ++i) {
      const std::ptrdiff_t k = samples(i) - h - 1;
      out[i] = mean(sum(i), window.up_multiplier[k], window.up_half[k], window.shift);
    }
  }
  for (std::ptrdiff_t i = n; i < n + row_slack; ++i) out[i] = 0;
}

void add(std::uint32_t* __restrict sums, const std::uint16_t* __restrict in, std::ptrdiff_t stride, std::ptrdiff_t rows,
         std::ptrdiff_t n) {
  for (std::ptrdiff_t r = 0; r < rows; ++r, in += stride)
    for (std::ptrdiff_t i = 0; i < n; ++i) sums[i] += in[i];
}

void down(std::uint32_t* __restrict sums, const Lines& lines, const Division* divisions, std::ptrdiff_t rows,
          std::ptrdiff_t n) {
  for (std::ptrdiff_t r = 0; r < rows; ++r) {
    const std::uint16_t* __restrict enter = lines.enter + r * lines.enter_stride;
    const std::uint16_t* __restrict leave = lines.leave + r * lines.leave_stride;
    std::uint16_t* __restrict out = lines.out + r * lines.out_stride;
    const Division d = divisions[r];
    for (std::ptrdiff_t i = 0; i < n; ++i) {
      const std::uint32_t s = sums[i];
      out[i] = mean(s, d.multiplier, d.half, d.shift);
      sums[i] = s + enter[i] - leave[i];
    }
  }
}

void span_down(const std::uint32_t* __restrict sums, const SpanRow& row, std::uint16_t* __restrict out) {
  const std::int32_t low = row.y - row.h, high = row.y + row.h + 1;
  for (std::ptrdiff_t i = row.first; i < row.last; ++i) {
    const std::int32_t top = row.top[i], bottom = row.bottom[i];
    out[i] = divide(sums[i], (bottom < high ? bottom : high) - (top > low ? top : low));
  }
}

void update(std::uint32_t* __restrict sums, const std::uint16_t* __restrict enter, const std::uint16_t* __restrict leave,
            std::ptrdiff_t n) {
  for (std::ptrdiff_t i = 0; i < n; ++i) sums[i] += static_cast<std::uint32_t>(enter[i]) - leave[i];
}

}  // namespace

extern const Unit unit_portable;
const Unit unit_portable{"portable", load_row, along, add, down, span_down, update, blend_row, choose_row, store_row};

}  // namespace anonfilter
