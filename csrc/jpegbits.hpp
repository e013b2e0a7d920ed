// Bits and Huffman codes of JPEG's entropy-coded data.
#pragma once

#include <cstddef>
#include <cstdint>

namespace anonfilter {

// Position in the block of the k-th coefficient of the zigzag (T.81 figure A.6).
inline constexpr int natural[64] = {
    0,  1,  8,  16, 9,  2,  3,  10, 17, 24, 32, 25, 18, 11, 4,  5,  12, 19, 26, 33, 40, 48,
    41, 34, 27, 20, 13, 6,  7,  14, 21, 28, 35, 42, 49, 56, 57, 50, 43, 36, 29, 22, 15, 23,
    30, 37, 44, 51, 58, 59, 52, 45, 38, 31, 39, 46, 53, 60, 61, 54, 47, 55, 62, 63};

// Reads to the next marker, then gives zeros; overrun() tells that some of those were used.
class BitReader {
 public:
  BitReader(const std::uint8_t* data, std::size_t size, std::size_t at) : data_(data), size_(size), at_(at) {}

  int peek16() {
    while (count_ < 16) fill();
    return static_cast<int>(bits_ >> (count_ - 16) & 0xFFFF);
  }
  void skip(int n) { count_ -= n; }
  int take(int n) {
    if (!n) return 0;
    const int value = peek16() >> (16 - n);
    skip(n);
    return value;
  }
  // T.81 F.2.2.1, RECEIVE and EXTEND.
  int extended(int n) {
    const int value = take(n);
    return n && value < 1 << (n - 1) ? value - (1 << n) + 1 : value;
  }
  bool overrun() const { return static_cast<long>(zeros_) * 8 > count_; }
  // Over the restart marker that must come next.
  bool restart() {
    count_ = 0;
    bits_ = 0;
    zeros_ = 0;
    while (at_ + 1 < size_ && !(data_[at_] == 0xFF && data_[at_ + 1] != 0 && data_[at_ + 1] != 0xFF)) ++at_;
    if (at_ + 1 >= size_ || data_[at_ + 1] < 0xD0 || data_[at_ + 1] > 0xD7) return false;
    at_ += 2;
    return true;
  }
  // Where the scan's data end.
  std::size_t end() const {
    std::size_t at = at_;
    while (at + 1 < size_) {
      const int next = data_[at + 1];
      if (data_[at] == 0xFF && next != 0 && next != 0xFF && !(next >= 0xD0 && next <= 0xD7)) return at;
      ++at;
    }
    return size_;
  }

 private:
  void fill() {
    int byte = 0;
    if (at_ < size_ && data_[at_] != 0xFF) byte = data_[at_++];
    else if (at_ + 1 < size_ && data_[at_ + 1] == 0) {
      byte = 0xFF;
      at_ += 2;
    } else ++zeros_;
    bits_ = bits_ << 8 | static_cast<std::uint64_t>(byte);
    count_ += 8;
  }

  const std::uint8_t* data_;
  std::size_t size_, at_;
  std::uint64_t bits_ = 0;
  int count_ = 0;
  std::size_t zeros_ = 0;
};

class HuffmanDecoder {
 public:
  bool built = false;

  // counts: of codes of 1 to 16 bits. False for more codes than there can be.
  bool build(const std::uint8_t* counts, const std::uint8_t* symbols, std::size_t total) {
    built = false;
    int code = 0;
    std::size_t k = 0;
    for (int length = 1; length <= 16; ++length) {
      first_[length] = static_cast<int>(k) - code;
      for (int i = 0; i < counts[length - 1]; ++i) symbols_[k] = symbols[k], ++k, ++code;
      if (code > 1 << length) return false;
      limit_[length] = code << (16 - length);
      code <<= 1;
    }
    built = k == total;
    return built;
  }
  // The next symbol, -1 for a code that there is not.
  int next(BitReader& bits) const {
    const int value = bits.peek16();
    for (int length = 1; length <= 16; ++length)
      if (value < limit_[length]) {
        bits.skip(length);
        return symbols_[(value >> (16 - length)) + first_[length]];
      }
    return -1;
  }

 private:
  int first_[17] = {}, limit_[17] = {};
  std::uint8_t symbols_[256] = {};
};

}  // namespace anonfilter
