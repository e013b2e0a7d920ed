// Writing: the sample side (DCT of A.3.3) and baseline entropy coding with Huffman tables made for the picture (annex K.2).
#include <algorithm>
#include <array>
#include <cmath>
#include <cstdlib>

#include "jpeg.hpp"
#include "jpegbits.hpp"

namespace anonfilter {

namespace {

using Matrix = std::array<std::array<float, 8>, 8>;

// The orthonormal DCT: row u, column x.
Matrix cosines() {
  Matrix m;
  for (int u = 0; u < 8; ++u)
    for (int x = 0; x < 8; ++x)
      m[static_cast<std::size_t>(u)][static_cast<std::size_t>(x)] =
          static_cast<float>((u ? 0.5 : std::sqrt(0.125)) * std::cos((2 * x + 1) * u * 3.14159265358979323846 / 16));
  return m;
}

const Matrix dct = cosines();

// out = A in B, where A is the DCT (forward) or its transpose.
void transform(const float* in, float* out, bool forward) {
  float half[64];
  for (std::size_t i = 0; i < 8; ++i)
    for (std::size_t j = 0; j < 8; ++j) {
      float sum = 0;
      for (std::size_t k = 0; k < 8; ++k) sum += (forward ? dct[i][k] : dct[k][i]) * in[8 * k + j];
      half[8 * i + j] = sum;
    }
  for (std::size_t i = 0; i < 8; ++i)
    for (std::size_t j = 0; j < 8; ++j) {
      float sum = 0;
      for (std::size_t k = 0; k < 8; ++k) sum += half[8 * i + k] * (forward ? dct[j][k] : dct[k][j]);
      out[8 * i + j] = sum;
    }
}

struct Symbol {
  std::uint8_t table;  // 2 * (not luma) + (AC)
  std::uint8_t symbol;
  std::uint8_t bits;
  std::uint16_t value;
};

int magnitude(int value) {
  int bits = 0;
  for (value = std::abs(value); value; value >>= 1) ++bits;
  return bits;
}

void add(std::vector<Symbol>& out, int table, int run, int value) {
  const int size = magnitude(value);
  const int low = value < 0 ? value + (1 << size) - 1 : value;
  out.push_back({static_cast<std::uint8_t>(table), static_cast<std::uint8_t>(run << 4 | size), static_cast<std::uint8_t>(size),
                 static_cast<std::uint16_t>(low)});
}

void encode_block(std::vector<Symbol>& out, const std::int16_t* block, int table, int& last) {
  const int value = std::clamp<int>(block[0], -1024, 1023);
  add(out, table, 0, value - last);
  last = value;
  int run = 0;
  for (int k = 1; k < 64; ++k) {
    const int ac = std::clamp<int>(block[natural[k]], -1023, 1023);
    if (!ac) {
      ++run;
      continue;
    }
    for (; run > 15; run -= 16) out.push_back({static_cast<std::uint8_t>(table + 1), 0xF0, 0, 0});
    add(out, table + 1, run, ac);
    run = 0;
  }
  if (run) out.push_back({static_cast<std::uint8_t>(table + 1), 0, 0, 0});
}

struct Codes {
  std::uint8_t counts[16] = {};
  std::vector<std::uint8_t> symbols;
  std::uint16_t code[256] = {};
  std::uint8_t length[256] = {};
};

// K.2: code lengths from frequencies, at most 16, and no code of ones only.
Codes huffman(std::array<std::size_t, 257> frequency) {
  frequency[256] = 1;
  std::array<int, 257> size{}, other;
  other.fill(-1);
  while (true) {
    int a = -1, b = -1;
    for (int i = 256; i >= 0; --i) {
      const std::size_t f = frequency[static_cast<std::size_t>(i)];
      if (!f) continue;
      if (a < 0 || f < frequency[static_cast<std::size_t>(a)]) b = a, a = i;
      else if (b < 0 || f < frequency[static_cast<std::size_t>(b)]) b = i;
    }
    if (b < 0) break;
    frequency[static_cast<std::size_t>(a)] += frequency[static_cast<std::size_t>(b)];
    frequency[static_cast<std::size_t>(b)] = 0;
    int i = a;
    for (++size[static_cast<std::size_t>(i)]; other[static_cast<std::size_t>(i)] >= 0; ++size[static_cast<std::size_t>(i)])
      i = other[static_cast<std::size_t>(i)];
    other[static_cast<std::size_t>(i)] = b;
    for (i = b, ++size[static_cast<std::size_t>(i)]; other[static_cast<std::size_t>(i)] >= 0;)
      i = other[static_cast<std::size_t>(i)], ++size[static_cast<std::size_t>(i)];
  }
  std::array<int, 258> bits{};
  for (const int s : size)
    if (s) ++bits[static_cast<std::size_t>(s)];
  for (std::size_t i = 257; i > 16; --i)
    while (bits[i] > 0) {
      std::size_t j = i - 2;
      while (!bits[j]) --j;
      bits[i] -= 2;
      bits[i - 1] += 1;
      bits[j + 1] += 2;
      bits[j] -= 1;
    }
  std::size_t longest = 16;
  while (longest && !bits[longest]) --longest;
  --bits[longest];  // the reserved one
  Codes out;
  for (std::size_t i = 0; i < 16; ++i) out.counts[i] = static_cast<std::uint8_t>(bits[i + 1]);
  for (int s = 1; s <= 257; ++s)
    for (std::size_t i = 0; i < 256; ++i)
      if (size[i] == s) out.symbols.push_back(static_cast<std::uint8_t>(i));
  int code = 0;
  std::size_t k = 0;
  for (std::size_t l = 0; l < 16; ++l, code <<= 1)
    for (int i = 0; i < out.counts[l]; ++i, ++code, ++k) {
      out.code[out.symbols[k]] = static_cast<std::uint16_t>(code);
      out.length[out.symbols[k]] = static_cast<std::uint8_t>(l + 1);
    }
  return out;
}

class BitWriter {
 public:
  explicit BitWriter(std::vector<std::uint8_t>& out) : out_(out) {}
  void put(unsigned value, int n) {
    bits_ = bits_ << n | value;
    count_ += n;
    while (count_ >= 8) {
      count_ -= 8;
      const auto byte = static_cast<std::uint8_t>(bits_ >> count_);
      out_.push_back(byte);
      if (byte == 0xFF) out_.push_back(0);
    }
  }
  void flush() {
    if (count_) put((1u << (8 - count_)) - 1, 8 - count_);
  }

 private:
  std::vector<std::uint8_t>& out_;
  std::uint64_t bits_ = 0;
  int count_ = 0;
};

}  // namespace

std::vector<std::uint8_t> write_scan(const std::vector<JpegComponent>& components) {
  std::vector<Symbol> symbols;
  std::vector<int> last(components.size(), 0);
  const JpegComponent& first = components[0];
  for (int y = 0; y < first.rows / first.v; ++y)
    for (int x = 0; x < first.columns / first.h; ++x)
      for (std::size_t c = 0; c < components.size(); ++c) {
        const JpegComponent& one = components[c];
        for (int v = 0; v < one.v; ++v)
          for (int h = 0; h < one.h; ++h) {
            const auto at = static_cast<std::size_t>(y * one.v + v) * static_cast<std::size_t>(one.columns) +
                            static_cast<std::size_t>(x * one.h + h);
            encode_block(symbols, one.blocks.data() + 64 * at, c ? 2 : 0, last[c]);
          }
      }
  std::array<std::array<std::size_t, 257>, 4> frequency{};
  for (const Symbol& s : symbols) ++frequency[s.table][s.symbol];
  std::array<Codes, 4> codes;
  std::vector<std::uint8_t> out;
  for (std::size_t t = 0; t < (components.size() > 1 ? 4u : 2u); ++t) {
    codes[t] = huffman(frequency[t]);
    const std::size_t length = 19 + codes[t].symbols.size();
    out.insert(out.end(), {0xFF, 0xC4, static_cast<std::uint8_t>(length >> 8), static_cast<std::uint8_t>(length),
                           static_cast<std::uint8_t>((t & 1) << 4 | t >> 1)});
    out.insert(out.end(), codes[t].counts, codes[t].counts + 16);
    out.insert(out.end(), codes[t].symbols.begin(), codes[t].symbols.end());
  }
  out.insert(out.end(), {0xFF, 0xDA, 0, static_cast<std::uint8_t>(6 + 2 * components.size()),
                         static_cast<std::uint8_t>(components.size())});
  for (std::size_t c = 0; c < components.size(); ++c)
    out.insert(out.end(), {static_cast<std::uint8_t>(components[c].id), static_cast<std::uint8_t>(c ? 0x11 : 0)});
  out.insert(out.end(), {0, 63, 0});
  BitWriter bits(out);
  for (const Symbol& s : symbols) {
    bits.put(codes[s.table].code[s.symbol], codes[s.table].length[s.symbol]);
    if (s.bits) bits.put(s.value, s.bits);
  }
  bits.flush();
  return out;
}

void jpeg_samples(const JpegComponent& component, const std::uint16_t* table, std::uint8_t* out) {
  const std::size_t stride = static_cast<std::size_t>(component.columns) * 8;
  for (std::size_t y = 0; y < static_cast<std::size_t>(component.rows); ++y)
    for (std::size_t x = 0; x < static_cast<std::size_t>(component.columns); ++x) {
      const std::int16_t* block = component.blocks.data() + 64 * (y * static_cast<std::size_t>(component.columns) + x);
      float in[64], samples[64];
      for (std::size_t i = 0; i < 64; ++i) in[i] = static_cast<float>(block[i]) * static_cast<float>(table[i]);
      transform(in, samples, false);
      for (std::size_t i = 0; i < 64; ++i)
        out[(8 * y + i / 8) * stride + 8 * x + i % 8] =
            static_cast<std::uint8_t>(std::clamp(std::floor(samples[i] + 128.5f), 0.0f, 255.0f));
    }
}

std::size_t jpeg_update(JpegComponent& component, const std::uint16_t* table, int width, int height,
                        const std::uint8_t* before, const std::uint8_t* after) {
  const std::size_t stride = static_cast<std::size_t>(component.columns) * 8;
  const int across = (width + 7) / 8, down = (height + 7) / 8;
  std::size_t changed = 0;
  for (int y = 0; y < component.rows; ++y)
    for (int x = 0; x < component.columns; ++x) {
      std::int16_t* block = component.blocks.data() +
                            64 * (static_cast<std::size_t>(y) * static_cast<std::size_t>(component.columns) + static_cast<std::size_t>(x));
      if (x >= across || y >= down) {
        // Nobody sees these; what they repeat of the picture's edge must not stay.
        const std::size_t from = static_cast<std::size_t>(std::min(y, down - 1)) * static_cast<std::size_t>(component.columns) +
                                 static_cast<std::size_t>(std::min(x, across - 1));
        const std::int16_t dc = component.blocks[64 * from];
        std::fill(block, block + 64, std::int16_t{0});
        block[0] = dc;
        continue;
      }
      const std::size_t at = static_cast<std::size_t>(8 * y) * stride + static_cast<std::size_t>(8 * x);
      const int w = std::min(8, width - 8 * x), h = std::min(8, height - 8 * y);
      bool same = true;
      for (int j = 0; j < h && same; ++j) {
        const std::size_t row = at + static_cast<std::size_t>(j) * stride;
        same = std::equal(before + row, before + row + w, after + row);
      }
      if (same) continue;
      ++changed;
      float in[64], out[64];
      for (int j = 0; j < 8; ++j)
        for (int i = 0; i < 8; ++i)
          in[8 * j + i] = static_cast<float>(after[at + static_cast<std::size_t>(std::min(j, h - 1)) * stride +
                                                   static_cast<std::size_t>(std::min(i, w - 1))]) - 128.0f;
      transform(in, out, true);
      for (int i = 0; i < 64; ++i)
        block[i] = static_cast<std::int16_t>(std::clamp(std::lround(out[i] / static_cast<float>(table[i])), -1023L, 1023L));
    }
  return changed;
}

}  // namespace anonfilter
