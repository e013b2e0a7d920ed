#include "letterbox.hpp"

#include <algorithm>
#include <cstddef>
#include <vector>

#ifdef __SSE2__
#include <emmintrin.h>
#endif

#include "taps.hpp"

#ifdef _MSC_VER
#define NOINLINE __declspec(noinline)
#else
#define NOINLINE __attribute__((noinline))
#endif

namespace anonfilter {
namespace {

constexpr int column_total = 16384;
constexpr int block = 16;  // coded rows that are turned at a time: 16 floats are a cache line

// How many bits of a sample count, and what a column's weights add up to: their sums fit 16 bits.
int kept_depth(const Format& format) { return std::min(format.depth, 10); }
int row_total(const Format& format) { return 1 << (16 - kept_depth(format)); }

// out = (or +=) the sum of K weighted rows; a sample is (word >> shift) & mask.
template <class T, int K>
void add_rows(const T* const* rows, const std::uint16_t* weights, bool first, int n, int shift, unsigned mask,
              std::uint16_t* __restrict out) {
  const T* row[K];
  std::uint16_t weight[K];
  for (int k = 0; k < K; ++k) row[k] = rows[k], weight[k] = weights[k];
  const auto sum = [&](int x) {
    std::uint16_t total = 0;
    for (int k = 0; k < K; ++k) {
      const auto sample = static_cast<std::uint16_t>(sizeof(T) == 1 ? row[k][x] : (row[k][x] >> shift) & mask);
      total = static_cast<std::uint16_t>(total + sample * weight[k]);
    }
    return total;
  };
  if (first)
    for (int x = 0; x < n; ++x) out[x] = sum(x);
  else
    for (int x = 0; x < n; ++x) out[x] = static_cast<std::uint16_t>(out[x] + sum(x));
}

template <class T>
void sum_rows(const std::vector<const char*>& rows, const std::uint16_t* weights, int n, const Format& format, std::uint16_t* out) {
  constexpr decltype(&add_rows<T, 1>) table[] = {add_rows<T, 1>, add_rows<T, 2>, add_rows<T, 3>, add_rows<T, 4>};
  const int count = static_cast<int>(rows.size()), depth = kept_depth(format);
  for (int k = 0; k < count; k += 4)
    table[std::min(4, count - k) - 1](reinterpret_cast<const T* const*>(rows.data()) + k, weights + k, k == 0, n,
                                      format.shift + format.depth - depth, (1u << depth) - 1u, out);
}

// out[i] = sum over k of weight(i)[k] * in[start[i] + k]: below 2^30.
void sum_columns(const std::uint16_t* in, const Taps& taps, std::int32_t* __restrict out) {
  const int n = static_cast<int>(taps.start.size()), width = taps.width;
  const int* start = taps.start.data();
  const std::uint16_t* weight = taps.weights.data();
  int i = 0;
#ifdef __SSE2__
  // Part of every x86-64. Eight products are one pmaddwd; it is signed, so samples go in less 2^15.
  const __m128i sign = _mm_set1_epi16(-32768);
  const __m128i bias = _mm_set1_epi32(column_total * 32768);
  const auto products = [&](__m128i samples, const std::uint16_t* by) {
    return _mm_madd_epi16(_mm_xor_si128(samples, sign), _mm_loadu_si128(reinterpret_cast<const __m128i*>(by)));
  };
  // a0+a1, a2+a3, b0+b1, b2+b3
  const auto pairs = [](__m128i a, __m128i b) {
    const __m128 x = _mm_castsi128_ps(a), y = _mm_castsi128_ps(b);
    return _mm_add_epi32(_mm_castps_si128(_mm_shuffle_ps(x, y, 0x88)), _mm_castps_si128(_mm_shuffle_ps(x, y, 0xdd)));
  };
  const auto four = [&](int k) { return _mm_loadl_epi64(reinterpret_cast<const __m128i*>(in + start[k])); };
  const auto eight = [&](int k) { return _mm_loadu_si128(reinterpret_cast<const __m128i*>(in + start[k])); };
  for (; (width == 4 || width == 8) && i + 4 <= n; i += 4, weight += 4 * width) {
    __m128i sums;
    if (width == 4)
      sums = pairs(products(_mm_unpacklo_epi64(four(i), four(i + 1)), weight),
                   products(_mm_unpacklo_epi64(four(i + 2), four(i + 3)), weight + 8));
    else
      sums = pairs(pairs(products(eight(i), weight), products(eight(i + 1), weight + 8)),
                   pairs(products(eight(i + 2), weight + 16), products(eight(i + 3), weight + 24)));
    _mm_storeu_si128(reinterpret_cast<__m128i*>(out + i), _mm_add_epi32(sums, bias));
  }
#endif
  for (; i < n; ++i, weight += width) {
    std::uint32_t sum = 0;
    for (int k = 0; k < width; ++k) sum += static_cast<std::uint32_t>(in[start[i] + k]) * weight[k];
    out[i] = static_cast<std::int32_t>(sum);
  }
}

// Resizes the components of one plane, a tensor row at a time.
class Resizer {
 public:
  Resizer(const Plane& plane, const Format& format, const Placement& at)
      : plane_(plane),
        format_(format),
        across_({at.across, at.x0, at.width, at.numerator, at.denominator, at.reverse_x, plane.chroma ? format.log2_w : 0,
                 format.left},
                column_total),
        down_({at.down, at.y0, at.height, at.numerator, at.denominator, at.reverse_y, plane.chroma ? format.log2_h : 0,
               format.top},
              row_total(format)) {
    // `start` counts from the first column that is ever used.
    for (int& start : across_.start) start -= across_.low;
    columns_ = across_.high - across_.low;
    for (auto& row : between_) row.resize(static_cast<std::size_t>(columns_));
    pairs_.resize(plane.channel[0].step == 2 ? 2 * static_cast<std::size_t>(columns_) : 0);
  }

  // out[c]: row i of component c, a sample each, in 16 + 14 bits.
  void row(int i, std::int32_t* const* out) {
    if (plane_.channel[0].step == 2) {
      sum(i, plane_.channel[0], 2 * columns_, pairs_.data());
      for (int x = 0; x < columns_; ++x) {
        between_[0][static_cast<std::size_t>(x)] = pairs_[2 * static_cast<std::size_t>(x)];
        between_[1][static_cast<std::size_t>(x)] = pairs_[2 * static_cast<std::size_t>(x) + 1];
      }
    } else {
      for (int c = 0; c < plane_.channels; ++c) sum(i, plane_.channel[c], columns_, between_[c].data());
    }
    for (int c = 0; c < plane_.channels; ++c) sum_columns(between_[c].data(), across_, out[c]);
  }

 private:
  void sum(int i, const Channel& channel, int n, std::uint16_t* out) {
    const std::uint16_t* weights = down_.weight(i);
    rows_.clear();
    used_.clear();
    for (int k = 0; k < down_.width; ++k) {
      const int y = down_.start[static_cast<std::size_t>(i)] + k;
      if (!weights[k]) continue;
      rows_.push_back(static_cast<const char*>(channel.data) + y * channel.stride +
                      static_cast<std::ptrdiff_t>(across_.low) * channel.step * format_.itemsize);
      used_.push_back(weights[k]);
    }
    (format_.itemsize == 1 ? sum_rows<std::uint8_t> : sum_rows<std::uint16_t>)(rows_, used_.data(), n, format_, out);
  }

  const Plane& plane_;
  const Format& format_;
  Taps across_, down_;
  int columns_ = 0;
  std::vector<std::uint16_t> between_[2], pairs_, used_;
  std::vector<const char*> rows_;
};

// value = matrix . (y, u, v, 1), clamped to low..high.
struct Affine {
  float m[4];
  float low, high;
};

// One row of the three tensor channels. Kept out of line: inlined, the compiler does not see that nothing overlaps.
NOINLINE void convert(const std::int32_t* __restrict y, const std::int32_t* __restrict u, const std::int32_t* __restrict v,
                      const Affine* channels, int n, float* __restrict out0, float* __restrict out1, float* __restrict out2) {
  const Affine a = channels[0], b = channels[1], c = channels[2];
  const auto value = [](const Affine& k, float y1, float u1, float v1) {
    float x = k.m[0] * y1 + k.m[3] + k.m[1] * u1 + k.m[2] * v1;
    x = k.low > x ? k.low : x;
    return k.high < x ? k.high : x;
  };
  for (int i = 0; i < n; ++i) {
    const auto y1 = static_cast<float>(y[i]), u1 = static_cast<float>(u[i]), v1 = static_cast<float>(v[i]);
    out0[i] = value(a, y1, u1, v1);
    out1[i] = value(b, y1, u1, v1);
    out2[i] = value(c, y1, u1, v1);
  }
}

}  // namespace

void letterbox(const Plane* planes, int plane_count, const Format& format, const Placement& at, const Colour& colour, float* out) {
  const std::ptrdiff_t area = static_cast<std::ptrdiff_t>(at.tensor_width) * at.tensor_height;
  const int inner_w = at.swap ? at.down : at.across, inner_h = at.swap ? at.across : at.down;
  Affine affine[3];
  for (int c = 0; c < 3; ++c) {
    // The padding around the picture, and only that.
    const float around = (colour.pad[c] - colour.mean[c]) * colour.scale[c];
    float* plane = out + c * area;
    const int top = at.pad_y, bottom = at.pad_y + inner_h, left = at.pad_x, right = at.pad_x + inner_w;
    std::fill(plane, plane + static_cast<std::ptrdiff_t>(top) * at.tensor_width, around);
    for (int y = top; y < bottom && inner_w < at.tensor_width; ++y) {
      float* row = plane + static_cast<std::ptrdiff_t>(y) * at.tensor_width;
      std::fill(row, row + left, around);
      std::fill(row + right, row + at.tensor_width, around);
    }
    std::fill(plane + static_cast<std::ptrdiff_t>(bottom) * at.tensor_width, plane + area, around);
    // Resized samples are codes times 2^(16 - depth) * column_total: a power of two, so nothing is lost here.
    const float unit = static_cast<float>(1 << format.depth) / 65536.0f / static_cast<float>(column_total);
    const float black = -colour.mean[c] * colour.scale[c], white = (255.0f - colour.mean[c]) * colour.scale[c];
    for (int k = 0; k < 3; ++k) affine[c].m[k] = colour.matrix[c][k] * unit * colour.scale[c];
    affine[c].m[3] = (colour.matrix[c][3] - colour.mean[c]) * colour.scale[c];
    affine[c].low = std::min(black, white);
    affine[c].high = std::max(black, white);
  }
  Resizer luma(planes[0], format, at);
  std::vector<Resizer> chroma;
  if (plane_count > 1) chroma.emplace_back(planes[1], format, at);
  const std::size_t n = static_cast<std::size_t>(at.across);
  std::vector<std::int32_t> samples(3 * n, 0);  // without chroma, U and V stay 0
  std::int32_t* const y_row[] = {samples.data(), nullptr};
  std::int32_t* const uv_row[] = {samples.data() + n, samples.data() + 2 * n};
  std::vector<float> turned(at.swap ? 3 * block * n : 0);
  for (int i = 0; i < at.down; ++i) {
    luma.row(i, y_row);
    if (!chroma.empty()) chroma[0].row(i, uv_row);
    float* row[3];
    for (int c = 0; c < 3; ++c)
      row[c] = at.swap ? turned.data() + static_cast<std::size_t>(c * block + i % block) * n
                       : out + c * area + static_cast<std::ptrdiff_t>(at.pad_y + i) * at.tensor_width + at.pad_x;
    convert(y_row[0], uv_row[0], uv_row[1], affine, at.across, row[0], row[1], row[2]);
    if (!at.swap || ((i + 1) % block && i + 1 < at.down)) continue;
    const int first = i - i % block, count = i + 1 - first;
    for (int c = 0; c < 3; ++c)
      for (int x = 0; x < at.across; ++x) {
        float* to = out + c * area + static_cast<std::ptrdiff_t>(at.pad_y + x) * at.tensor_width + at.pad_x + first;
        const float* from = turned.data() + static_cast<std::size_t>(c * block) * n + static_cast<std::size_t>(x);
        for (int k = 0; k < count; ++k) to[k] = from[static_cast<std::size_t>(k) * n];
      }
  }
}

}  // namespace anonfilter
