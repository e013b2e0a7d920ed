// The loops of a unit that the compiler turns into vectors by itself; included by each unit, for its own flags.
#pragma once

#include <cstddef>
#include <cstdint>

namespace anonfilter {
namespace {

template <class T>
inline void load_samples(const T* __restrict from, int step, std::ptrdiff_t n, int shift, unsigned mask, int up,
                         std::uint16_t* __restrict out) {
  if (step == 1)
    for (std::ptrdiff_t i = 0; i < n; ++i) out[i] = static_cast<std::uint16_t>(((from[i] >> shift) & mask) << up);
  else
    for (std::ptrdiff_t i = 0; i < n; ++i) out[i] = static_cast<std::uint16_t>(((from[2 * i] >> shift) & mask) << up);
}

void load_row(const void* from, int itemsize, int step, std::ptrdiff_t n, int shift, unsigned mask, int up,
              std::uint16_t* out) {
  if (itemsize == 1)
    load_samples(static_cast<const std::uint8_t*>(from), step, n, shift, mask, up, out);
  else
    load_samples(static_cast<const std::uint16_t*>(from), step, n, shift, mask, up, out);
}

void blend_row(const std::uint16_t* __restrict from, int fraction, const std::int16_t* __restrict alpha,
               const std::uint16_t* __restrict before, std::uint16_t* __restrict codes, std::ptrdiff_t n) {
  const int rounding = fraction ? 1 << (fraction - 1) : 0;
  for (std::ptrdiff_t i = 0; i < n; ++i) {
    const int code = (from[i] + rounding) >> fraction;
    codes[i] = static_cast<std::uint16_t>((alpha[i] * code + (256 - alpha[i]) * before[i] + 128) >> 8);
  }
}

void choose_row(const std::int16_t* __restrict alpha, std::int16_t* __restrict best, std::int16_t* __restrict chosen,
                std::ptrdiff_t n) {
  for (std::ptrdiff_t i = 0; i < n; ++i) {
    const std::int16_t a = alpha[i], b = best[i];
    chosen[i] = a > b;
    best[i] = a > b ? a : b;
  }
}

// T: a sample; Pair: two of them. Of interleaved samples the whole pair is read and written, and its other half stays.
template <class T, class Pair>
inline void store_samples(const std::uint16_t* __restrict from, int fraction, const std::int16_t* __restrict chosen,
                          char* row, int step, int shift, std::ptrdiff_t n) {
  // Codes have 16 - fraction bits, and at most 16: the rounded state fits 16 bits, see DESIGN 5.
  const auto rounding = static_cast<std::uint16_t>(fraction ? 1 << (fraction - 1) : 0);
  const auto word = [&](std::ptrdiff_t i) {
    return static_cast<T>(static_cast<std::uint16_t>(static_cast<std::uint16_t>(from[i] + rounding) >> fraction) << shift);
  };
  T* __restrict to = reinterpret_cast<T*>(row);
  if (step == 1 && !chosen) {
    for (std::ptrdiff_t i = 0; i < n; ++i) to[i] = word(i);
  } else if (step == 1) {
    for (std::ptrdiff_t i = 0; i < n; ++i) {
      const T old = to[i], now = word(i);
      to[i] = chosen[i] ? now : old;
    }
  } else if (!chosen) {
    for (std::ptrdiff_t i = 0; i < n; ++i) to[2 * i] = word(i);
  } else {
    for (std::ptrdiff_t i = 0; i < n; ++i)
      if (chosen[i]) to[2 * i] = word(i);
  }
}

void store_row(const std::uint16_t* from, int fraction, const std::int16_t* chosen, void* to, int itemsize, int step,
               int shift, std::ptrdiff_t n) {
  if (itemsize == 1)
    store_samples<std::uint8_t, std::uint16_t>(from, fraction, chosen, static_cast<char*>(to), step, shift, n);
  else
    store_samples<std::uint16_t, std::uint32_t>(from, fraction, chosen, static_cast<char*>(to), step, shift, n);
}

}  // namespace
}  // namespace anonfilter
