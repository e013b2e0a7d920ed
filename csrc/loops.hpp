// The loops of a unit that the compiler turns into vectors by itself; included by each unit, for its own flags.
#pragma once

#include <cstddef>
#include <cstdint>

namespace anonfilter {
namespace {

template <int Value>
struct Constant {
  static constexpr int value = Value;
};

// Calls run with the number of bits below a code as a constant: compilers shift 16-bit samples by constants in 16 bits,
// by variables in 32. 8, 10, 12 and 16 bits, and codes as they are.
template <class Run>
inline void with_bits(int bits, const Run& run) {
  switch (bits) {
    case 0: return run(Constant<0>{});
    case 4: return run(Constant<4>{});
    case 6: return run(Constant<6>{});
    case 8: return run(Constant<8>{});
    default: break;
  }
  __builtin_unreachable();  // kernels/formats.py has no other depths
}

template <int Up>
inline void load_bytes(const std::uint8_t* __restrict from, int step, std::ptrdiff_t n, std::uint16_t* __restrict out) {
  if (step == 1)
    for (std::ptrdiff_t i = 0; i < n; ++i) out[i] = static_cast<std::uint16_t>(from[i] << Up);
  else
    for (std::ptrdiff_t i = 0; i < n; ++i) out[i] = static_cast<std::uint16_t>(from[2 * i] << Up);
}

template <int Up, int Shift>
inline void load_words(const std::uint16_t* __restrict from, int step, std::ptrdiff_t n, unsigned mask,
                       std::uint16_t* __restrict out) {
  const auto keep = static_cast<std::uint16_t>(mask);
  const auto code = [&](std::uint16_t word) {
    return static_cast<std::uint16_t>(static_cast<std::uint16_t>(static_cast<std::uint16_t>(word >> Shift) & keep) << Up);
  };
  if (step == 1)
    for (std::ptrdiff_t i = 0; i < n; ++i) out[i] = code(from[i]);
  else
    for (std::ptrdiff_t i = 0; i < n; ++i) out[i] = code(from[2 * i]);
}

void load_row(const void* from, int itemsize, int step, std::ptrdiff_t n, int shift, unsigned mask, int up,
              std::uint16_t* out) {
  with_bits(up, [&](auto bits) {
    constexpr int by = decltype(bits)::value;
    if (itemsize == 1)
      load_bytes<by>(static_cast<const std::uint8_t*>(from), step, n, out);
    else if (shift == 0)
      load_words<by, 0>(static_cast<const std::uint16_t*>(from), step, n, mask, out);
    else
      load_words<by, 6>(static_cast<const std::uint16_t*>(from), step, n, mask, out);  // P010's
  });
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

template <class T, int Fraction, int Shift>
inline void store_samples(const std::uint16_t* __restrict from, const std::int16_t* __restrict chosen, T* __restrict to,
                          int step, std::ptrdiff_t n) {
  // The greatest mean is the top code followed by zeros, so that rounding stays within 16 bits.
  constexpr auto rounding = static_cast<std::uint16_t>(Fraction ? 1 << Fraction >> 1 : 0);
  const auto word = [&](std::ptrdiff_t i) {
    const auto code = static_cast<std::uint16_t>(static_cast<std::uint16_t>(from[i] + rounding) >> Fraction);
    return static_cast<T>(code << Shift);
  };
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
  with_bits(fraction, [&](auto bits) {
    constexpr int by = decltype(bits)::value;
    if (itemsize == 1)
      store_samples<std::uint8_t, by, 0>(from, chosen, static_cast<std::uint8_t*>(to), step, n);
    else if (shift == 0)
      store_samples<std::uint16_t, by, 0>(from, chosen, static_cast<std::uint16_t*>(to), step, n);
    else
      store_samples<std::uint16_t, by, 6>(from, chosen, static_cast<std::uint16_t*>(to), step, n);
  });
}

}  // namespace
}  // namespace anonfilter
