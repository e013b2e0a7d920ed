// The loops of a vector unit, for any width: the one source that all of them are made from.
//
// A unit is a source file that sets SIMD_BYTES and UNIT, and includes this. Every loop works on whole registers and runs
// over its end; what it wrote there is overwritten by the loop for the next samples, or lies in the row's slack.
#pragma once

#include "loops.hpp"
#include "unit.hpp"
#include "vec.hpp"

namespace anonfilter {
namespace {

UNIT_INLINE U32 mean(U32 sum, U32 multiplier, U32 half, int shift) { return high(sum + half, multiplier) >> shift; }

// out[i] = value(i) for first <= i < last, `lanes` of them a time.
template <class Value>
UNIT_INLINE void each(std::ptrdiff_t first, std::ptrdiff_t last, std::uint16_t* out, const Value& value) {
  for (std::ptrdiff_t i = first; i < last; i += 2 * lanes) store(out + i, pack(value(i), value(i + lanes)));
}

void along(const std::uint16_t* __restrict in, std::uint16_t* __restrict out, std::ptrdiff_t n, const Window& window,
           std::uint32_t* __restrict room) {
  // sums[i]: samples 0..i. sums[-1] = 0.
  std::uint32_t* __restrict sums = room + sums_before;
  store(sums - lanes, U32{});
  // Sums over pairs of samples, of which the second is taken off again for every other sum. A register's own running
  // sums do not wait for those before it: only `carry` does.
  U32 carry{};
  for (std::ptrdiff_t i = 0; i < n; i += 2 * lanes) {
    const U32 pairs = load_pairs(in + i), second = pairs >> 16;  // little endian
    const U32 own = running((pairs & 0xffffu) + second);
    const U32 upto = own + carry;
    const Pair both = interleave(upto - second, upto);
    store(sums + i, both.a);
    store(sums + i + lanes, both.b);
    carry += last_lane(own);
  }
  const std::uint32_t total = sums[n - 1];
  const std::ptrdiff_t h = window.h;
  if (n <= h + 1) {  // every window holds the whole row
    const auto count = static_cast<std::uint32_t>(n);
    const U32 all = splat((total + count / 2) / count);
    each(0, n, out, [&](std::ptrdiff_t) { return all; });
  } else {
    // Windows that begin with the row; that lie inside it or hold it all; that end with it.
    const std::ptrdiff_t left = h < n - h ? h : n - h, right = h < n - h ? n - h : h;
    const U32 totals = splat(total);
    const int shift = window.shift;
    if (window.wide) {
      U32 index{};
      for (int k = 0; k < lanes; ++k) index[k] = static_cast<std::uint32_t>(k);
      each(0, left, out, [&](std::ptrdiff_t i) {
        return divide(load(sums + i + h), index + static_cast<std::uint32_t>(i + h + 1));
      });
      const std::uint32_t count = static_cast<std::uint32_t>(n < 2 * h + 1 ? n : 2 * h + 1);
      each(left, right, out, [&](std::ptrdiff_t i) {
        return divide(n <= 2 * h ? totals : load(sums + i + h) - load(sums + i - h - 1), splat(count));
      });
      each(right, n, out, [&](std::ptrdiff_t i) {
        return divide(totals - load(sums + i - h - 1), static_cast<std::uint32_t>(n + h - i) - index);
      });
    } else {
      const std::uint32_t *multiplier = window.up_multiplier, *half = window.up_half;
      each(0, left, out, [&](std::ptrdiff_t i) {
        return mean(load(sums + i + h), load(multiplier + i), load(half + i), shift);
      });
      if (n <= 2 * h) {
        const U32 all = mean(totals, splat(multiplier[n - h - 1]), splat(half[n - h - 1]), shift);
        each(left, right, out, [&](std::ptrdiff_t) { return all; });
      } else {
        const U32 full_multiplier = splat(window.full.multiplier), full_half = splat(window.full.half);
        const int full_shift = window.full.shift;
        each(left, right, out, [&](std::ptrdiff_t i) {
          return mean(load(sums + i + h) - load(sums + i - h - 1), full_multiplier, full_half, full_shift);
        });
      }
      multiplier = window.down_multiplier;
      half = window.down_half;
      each(right, n, out, [&](std::ptrdiff_t i) {
        const std::ptrdiff_t k = i + h + 1 - n;
        return mean(totals - load(sums + i - h - 1), load(multiplier + k), load(half + k), shift);
      });
    }
  }
  store(out + n, U16{});
}

// add and down keep their sums in the order of unpack.
void add(std::uint32_t* __restrict sums, const std::uint16_t* __restrict in, std::ptrdiff_t stride, std::ptrdiff_t rows,
         std::ptrdiff_t n) {
  std::ptrdiff_t r = 0;
  for (; r + 2 <= rows; r += 2, in += 2 * stride)
    for (std::ptrdiff_t i = 0; i < n; i += 2 * lanes) {
      const Pair x = unpack(in + i), y = unpack(in + stride + i);
      store(sums + i, load(sums + i) + (x.a + y.a));
      store(sums + i + lanes, load(sums + i + lanes) + (x.b + y.b));
    }
  for (; r < rows; ++r, in += stride)
    for (std::ptrdiff_t i = 0; i < n; i += 2 * lanes) {
      const Pair x = unpack(in + i);
      store(sums + i, load(sums + i) + x.a);
      store(sums + i + lanes, load(sums + i + lanes) + x.b);
    }
}

// Some rows at once, so that sums are loaded and stored once for all of them.
template <int Rows>
UNIT_INLINE void down_rows(std::uint32_t* __restrict sums, const Lines& lines, const Division* divisions,
                           std::ptrdiff_t n) {
  const std::uint16_t* __restrict enter = lines.enter;
  const std::uint16_t* __restrict leave = lines.leave;
  std::uint16_t* __restrict out = lines.out;
  const std::ptrdiff_t enter_stride = lines.enter_stride, leave_stride = lines.leave_stride, out_stride = lines.out_stride;
  U32 multiplier[Rows], half[Rows];
  int shift[Rows];
  for (int r = 0; r < Rows; ++r) {
    multiplier[r] = splat(divisions[r].multiplier);
    half[r] = splat(divisions[r].half);
    shift[r] = divisions[r].shift;
  }
  for (std::ptrdiff_t i = 0; i < n; i += 2 * lanes) {
    U32 a = load(sums + i), b = load(sums + i + lanes);
#pragma GCC unroll 8
    for (int r = 0; r < Rows; ++r) {
      store(out + r * out_stride + i,
            repack({mean(a, multiplier[r], half[r], shift[r]), mean(b, multiplier[r], half[r], shift[r])}));
      const Pair x = unpack(enter + r * enter_stride + i), y = unpack(leave + r * leave_stride + i);
      a += x.a - y.a;
      b += x.b - y.b;
    }
    store(sums + i, a);
    store(sums + i + lanes, b);
  }
}

void down(std::uint32_t* sums, const Lines& lines, const Division* divisions, std::ptrdiff_t rows, std::ptrdiff_t n) {
  Lines at = lines;
  const auto step = [&](std::ptrdiff_t by) {
    rows -= by;
    divisions += by;
    at.enter += by * at.enter_stride;
    at.leave += by * at.leave_stride;
    at.out += by * at.out_stride;
  };
  for (; rows >= 4; step(4)) down_rows<4>(sums, at, divisions, n);
  for (; rows > 0; step(1)) down_rows<1>(sums, at, divisions, n);
}

void span_down(const std::uint32_t* __restrict sums, const SpanRow& row, std::uint16_t* __restrict out) {
  const I32 low = splat_signed(row.y - row.h), high_row = splat_signed(row.y + row.h + 1), one = splat_signed(1);
  const std::int32_t *top = row.top, *bottom = row.bottom;
  const auto part = [&](std::ptrdiff_t i) {
    const I32 t = load(top + i), b = load(bottom + i);
    I32 count = (b < high_row ? b : high_row) - (t > low ? t : low);
    count = count > one ? count : one;  // of columns beyond the mask, which mean nothing
    return divide(load(sums + i), reinterpret_cast<U32>(count));
  };
  each(row.first, row.whole_first, out, part);
  const U32 multiplier = splat(row.whole.multiplier), half = splat(row.whole.half);
  const int shift = row.whole.shift;
  each(row.whole_first, row.whole_last, out,
       [&](std::ptrdiff_t i) { return mean(load(sums + i), multiplier, half, shift); });
  each(row.whole_last, row.last, out, part);
}

void update(std::uint32_t* __restrict sums, const std::uint16_t* __restrict enter, const std::uint16_t* __restrict leave,
            std::ptrdiff_t n) {
  for (std::ptrdiff_t i = 0; i < n; i += lanes) store(sums + i, load(sums + i) + (widen(enter + i) - widen(leave + i)));
}

}  // namespace

extern const Unit UNIT;
const Unit UNIT{UNIT_NAME, load_row, along, add, down, span_down, update, blend_row, choose_row, store_row};

}  // namespace anonfilter
