#include "seek.hpp"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <vector>

namespace anonfilter {
namespace {

constexpr int axis_total = 256;
constexpr int axis_samples = 2;  // of a cell on each axis, less than twice as many: more tell nothing new

// Output i = sum of weight[i*width + k] * sample[start[i] + k] over axis_total; `at` says where samples are in the plane.
struct Axis {
  // step: samples lie so far apart, the first one in the middle of the first step.
  Axis(int outputs, int first, int length, int size) {
    const int n = outputs, step = std::max(1, length / (axis_samples * n)), samples = length / step;
    const bool linear = samples < n;
    width = linear ? 2 : samples / n + 2;
    low = linear ? -1 : 0;
    weight.assign(static_cast<std::size_t>(n) * static_cast<std::size_t>(width), 0);
    for (int i = 0; i < n; ++i) {
      int* by = weight.data() + static_cast<std::ptrdiff_t>(i) * width;
      if (linear) {  // between the two around its centre
        const int centre = (2 * i + 1) * samples - n, left = centre >= 0 ? centre / (2 * n) : -1;
        const int share = (axis_total * (centre - left * 2 * n) + n) / (2 * n);
        start.push_back(left - low);
        by[0] = axis_total - share;
        by[1] = share;
        continue;
      }
      const int begin = i * samples, end = begin + samples;  // a sample is n long
      start.push_back(begin / n);
      int before = 0;
      for (int k = 0; k < width; ++k) {
        const int covered = std::min(end, (begin / n + k + 1) * n) - begin;
        const int after = (2 * axis_total * covered + samples) / (2 * samples);
        by[k] = after - before;
        before = after;
      }
    }
    const int high = start.back() + width;
    for (int k = 0; k < high; ++k) {
      const std::int64_t place = static_cast<std::int64_t>(first) + static_cast<std::int64_t>(k + low) * step + step / 2;
      at.push_back(static_cast<int>(std::min<std::int64_t>(std::max<std::int64_t>(place, 0), size - 1)));
    }
  }

  int width, low;
  std::vector<int> start, weight, at;
};

// out += weight times the samples at some columns, in 12 bits: those of more lose the lowest.
template <class T>
void add_row(const T* row, const int* columns, std::size_t n, const Format& format, int weight, std::uint32_t* out) {
  const int depth = std::min(format.depth, 12), shift = format.shift + format.depth - depth;
  const unsigned mask = (1u << depth) - 1u, by = static_cast<unsigned>(weight) << (12 - depth);
  const auto add = [&](std::size_t i, T sample) { out[i] += ((static_cast<unsigned>(sample) >> shift) & mask) * by; };
  if (columns[n - 1] - columns[0] == static_cast<int>(n) - 1)  // neighbours, which need not be fetched one by one
    for (std::size_t i = 0; i < n; ++i) add(i, row[columns[0] + static_cast<std::ptrdiff_t>(i)]);
  else
    for (std::size_t i = 0; i < n; ++i) add(i, row[columns[i]]);
}

// Sums of a template, and n times its variance.
struct Moments {
  std::int64_t sum = 0, energy = 0;
};

Moments moments(const std::int16_t* samples, int n) {
  std::int32_t sum = 0, squares = 0;
  for (int i = 0; i < n; ++i) sum += samples[i], squares += samples[i] * samples[i];
  return {sum, static_cast<std::int64_t>(n) * squares - static_cast<std::int64_t>(sum) * sum};
}

double correlation(int n, std::int64_t both, const Moments& a, const Moments& b) {
  const auto energy = [](const Moments& m) { return static_cast<double>(std::max<std::int64_t>(m.energy, 1)); };
  return static_cast<double>(n * both - a.sum * b.sum) / std::sqrt(energy(a) * energy(b));
}

// Correlations of a template with the places whose first samples are at left, top and on, up to 2*reach further.
class Places {
 public:
  Places(const SeekPicture& window, const std::int16_t* before, int columns, int rows, int left, int top, int reach, int texture)
      : across_(2 * reach + 1) {
    // Rows padded to whole registers: the template's with zeros, so that what lies behind a place does not count.
    const int padded = (columns + 7) / 8 * 8, wide = padded + 2 * reach, high = rows + 2 * reach, n = columns * rows;
    std::vector<std::int16_t> grid(static_cast<std::size_t>(rows * padded)), area(static_cast<std::size_t>(high * wide));
    for (int y = 0; y < rows; ++y) std::copy_n(before + y * columns, columns, grid.data() + y * padded);
    for (int y = 0; y < high; ++y)
      std::copy_n(window.samples + (top + y) * window.columns + left, columns + 2 * reach, area.data() + y * wide);
    const Moments own = moments(before, n);
    const std::int64_t least = static_cast<std::int64_t>(n) * n * texture * texture * seek_unit * seek_unit;
    std::vector<std::int32_t> sums(static_cast<std::size_t>(across_)), squares(sums.size());
    score_.resize(static_cast<std::size_t>(across_ * across_));
    for (int dy = 0; dy < across_; ++dy) {
      for (int y = dy ? dy + rows - 1 : 0; y < dy + rows; ++y) add(area.data() + y * wide, columns, 1, sums, squares);
      if (dy) add(area.data() + (dy - 1) * wide, columns, -1, sums, squares);
      for (int dx = 0; dx < across_; ++dx) {
        const std::int32_t both = product(area.data() + dy * wide + dx, wide, grid.data(), padded, rows);
        const auto i = static_cast<std::size_t>(dx);
        Moments there{sums[i], static_cast<std::int64_t>(n) * squares[i] - static_cast<std::int64_t>(sums[i]) * sums[i]};
        there.energy = std::max(there.energy, least);
        score_[static_cast<std::size_t>(dy * across_ + dx)] = correlation(n, both, own, there);
      }
    }
    best_ = static_cast<int>(std::max_element(score_.begin(), score_.end()) - score_.begin());
  }

  double best() const { return score_[static_cast<std::size_t>(best_)]; }
  // Of the best place, in parts, from the first one: the top of the parabola through it and its neighbours.
  int x() const { return seek_parts * (best_ % across_) + peak(best_ % across_, 1); }
  int y() const { return seek_parts * (best_ / across_) + peak(best_ / across_, across_); }

 private:
  // Sums of the runs of samples of a row, times sign.
  void add(const std::int16_t* row, int run, int sign, std::vector<std::int32_t>& sums, std::vector<std::int32_t>& squares) const {
    std::int32_t sum = 0, square = 0;
    for (int x = 0; x < run; ++x) sum += row[x], square += row[x] * row[x];
    for (int dx = 0; dx < across_; ++dx) {
      sums[static_cast<std::size_t>(dx)] += sign * sum;
      squares[static_cast<std::size_t>(dx)] += sign * square;
      if (dx + 1 == across_) break;
      sum += row[dx + run] - row[dx];
      square += row[dx + run] * row[dx + run] - row[dx] * row[dx];
    }
  }

  static std::int32_t product(const std::int16_t* area, int wide, const std::int16_t* grid, int padded, int rows) {
    std::int32_t sum = 0;
    for (int y = 0; y < rows; ++y, area += wide, grid += padded)
      for (int x = 0; x < padded; ++x) sum += area[x] * grid[x];
    return sum;
  }

  int peak(int at, int step) const {
    if (at == 0 || at == across_ - 1) return 0;
    const double* top = score_.data() + best_;
    const double low = top[-step], high = top[step], bend = low - 2 * *top + high;
    if (!(bend < -1e-9)) return 0;
    return static_cast<int>(std::floor(seek_parts / 2 * (low - high) / bend + 0.5));
  }

  int across_, best_ = 0;
  std::vector<double> score_;
};

int clamp(int value, int most) { return std::max(0, std::min(value, most)); }

// What lies at x, y, in parts, of a window: between four samples.
void cut(const SeekPicture& window, int columns, int rows, int x, int y, std::int16_t* out) {
  const int left = clamp(x >> 4, window.columns - columns - 1), top = clamp(y >> 4, window.rows - rows - 1);
  const int fx = clamp(x - seek_parts * left, seek_parts), fy = clamp(y - seek_parts * top, seek_parts);
  for (int row = 0; row < rows; ++row) {
    const std::int16_t* a = window.samples + (top + row) * window.columns + left;
    const std::int16_t* b = a + window.columns;
    for (int i = 0; i < columns; ++i, ++out)
      *out = static_cast<std::int16_t>(((seek_parts - fy) * ((seek_parts - fx) * a[i] + fx * a[i + 1]) +
                                        fy * ((seek_parts - fx) * b[i] + fx * b[i + 1]) + 128) >> 8);
  }
}

}  // namespace

void seek_window(const Plane& luma, const Format& format, const SeekPart& part, int columns, int rows, std::int16_t* out) {
  const Axis across(columns, part.left, part.wide, luma.width), down(rows, part.top, part.high, luma.height);
  const std::size_t n = across.at.size();
  std::vector<std::uint32_t> sums(n);
  for (int j = 0; j < rows; ++j) {
    std::fill(sums.begin(), sums.end(), 0u);
    const int* by = down.weight.data() + static_cast<std::ptrdiff_t>(j) * down.width;
    for (int k = 0; k < down.width; ++k) {
      if (!by[k]) continue;
      const int y = down.at[static_cast<std::size_t>(down.start[static_cast<std::size_t>(j)] + k)];
      const char* row = static_cast<const char*>(luma.channel[0].data) + y * luma.channel[0].stride;
      if (format.itemsize == 1)
        add_row(reinterpret_cast<const std::uint8_t*>(row), across.at.data(), n, format, by[k], sums.data());
      else
        add_row(reinterpret_cast<const std::uint16_t*>(row), across.at.data(), n, format, by[k], sums.data());
    }
    for (int i = 0; i < columns; ++i) {
      const int* weight = across.weight.data() + static_cast<std::ptrdiff_t>(i) * across.width;
      const std::uint32_t* from = sums.data() + across.start[static_cast<std::size_t>(i)];
      std::uint32_t sum = 1u << 12;  // 12 bits twice times axis_total, 24 in all: 11 are kept
      for (int k = 0; k < across.width; ++k) sum += (from[k] >> 4) * static_cast<std::uint32_t>(weight[k]);
      *out++ = static_cast<std::int16_t>(sum >> 13);
    }
  }
}

SeekResult seek(const SeekPicture& window, const std::int16_t* before, int columns, int rows, int x, int y, int reach,
                double least, int texture, std::int16_t* now) {
  SeekResult result{x, y, -2.0, false, false};
  const int n = columns * rows;
  if (before) {
    const int left = clamp(((x + seek_parts / 2) >> 4) - reach, window.columns - columns - 2 * reach);
    const int top = clamp(((y + seek_parts / 2) >> 4) - reach, window.rows - rows - 2 * reach);
    const Places places(window, before, columns, rows, left, top, reach, texture);
    result.score = places.best();
    result.found = result.score >= least;
    if (result.found) {
      result.x = seek_parts * left + places.x();
      result.y = seek_parts * top + places.y();
    }
  }
  cut(window, columns, rows, result.x, result.y, now);
  result.flat = moments(now, n).energy <= static_cast<std::int64_t>(n) * n * texture * texture * seek_unit * seek_unit;
  return result;
}

}  // namespace anonfilter
