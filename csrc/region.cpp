#include "region.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>

namespace anonfilter {
namespace {

// The samples of an axis whose luma samples meet low..high-1. Arithmetic shifts: floors, also below zero.
Range extent(int low, int high, int log2, bool before) {
  if (log2 == 0) return {low, high};
  return {low >> 1, ((high - (before ? 0 : 1)) >> 1) + 1};
}

int half(int value, int log2) { return log2 ? (value + 1) >> 1 : value; }

// alpha at a distance of 0..f+1 and beyond, so that no sample needs a division.
struct Ramp {
  explicit Ramp(int f) : reach(f + 1) {
    for (int d = 0; d <= reach; ++d) alpha[d] = static_cast<std::int16_t>(256 * (reach - d) / reach);
  }
  std::int16_t operator()(int d) const { return alpha[std::min(d, reach)]; }
  int reach;
  std::int16_t alpha[max_feather + 2];
};

std::uint64_t square_root(std::uint64_t n) {
  std::uint64_t r = std::min<std::uint64_t>(static_cast<std::uint64_t>(std::sqrt(static_cast<double>(n))), 0xffffffffu);
  while (r * r > n) --r;
  while (r < 0xffffffffu && (r + 1) * (r + 1) <= n) ++r;
  return r;
}

int floor_half(int value) { return value >> 1; }

// The luma columns of an ellipse in luma row y: |2x+1-x0-x1| * h <= sqrt((w*h)^2 - ((2y+1-y0-y1)*w)^2).
Range ellipse_row(const Target& t, int y) {
  if (y < t.y0 || y >= t.y1) return {};
  const auto w = static_cast<std::uint64_t>(t.x1 - t.x0), h = static_cast<std::uint64_t>(t.y1 - t.y0);
  const auto b = static_cast<std::uint64_t>(std::abs(2 * y + 1 - t.y0 - t.y1)) * w;
  const int a = static_cast<int>(square_root(w * h * (w * h) - b * b) / h);
  const int s = t.x0 + t.x1;
  const int low = std::max(t.x0, -floor_half(-(s - 1 - a)));
  const int high = std::min(t.x1, floor_half(s - 1 + a) + 1);
  return low < high ? Range{low, high} : Range{};
}

// How a plane's samples relate to luma.
struct Sampling {
  Sampling(const Plane& plane, const Format& format)
      : log2_w(plane.chroma ? format.log2_w : 0), log2_h(plane.chroma ? format.log2_h : 0), left(format.left), top(format.top) {}
  int first_row(int y) const { return y * (1 << log2_h) - (log2_h && top ? 1 : 0); }
  int last_row(int y) const { return y * (1 << log2_h) + log2_h; }
  int log2_w, log2_h;
  bool left, top;
};

// The object's columns in row y of a plane: luma rows are intervals around one centre, so their union is one too.
Range ellipse_object(const Target& t, int y, const Sampling& at) {
  Range all{};
  for (int k = at.first_row(y); k <= at.last_row(y); ++k) {
    const Range luma = ellipse_row(t, k);
    if (luma.size() <= 0) continue;
    const Range r = extent(luma.low, luma.high, at.log2_w, at.left);
    all = all.size() > 0 ? Range{std::min(all.low, r.low), std::max(all.high, r.high)} : r;
  }
  return all;
}

// ORs a bitmap's luma row y into `out`, whose first byte is the plane's column `first`.
void mark_row(const Target& t, int y, Range columns, int log2, bool before, std::uint8_t* out) {
  if (y < t.y0 || y >= t.y1) return;
  const std::uint8_t* mask = t.mask + static_cast<std::ptrdiff_t>(y - t.y0) * (t.x1 - t.x0);
  const int low = std::max(t.x0, columns.low * (1 << log2) - 1), high = std::min(t.x1, columns.high * (1 << log2));
  for (int x = low; x < high; ++x) {
    if (!mask[x - t.x0]) continue;
    const int first = x >> log2, second = log2 && before ? (x + 1) >> 1 : first;
    if (first >= columns.low && first < columns.high) out[first - columns.low] = 1;
    if (second >= columns.low && second < columns.high) out[second - columns.low] = 1;
  }
}

// Along a row: alpha by the distance to the nearest object sample on either side.
template <class Fade>
void fade_row(const std::uint8_t* thing, Range box, Range columns, int fx, const Fade& across, std::int16_t* line) {
  int last = columns.low - 2 * fx - 2, x = columns.low;
  for (; x < std::min(box.low, columns.high); ++x)
    if (thing[x - columns.low]) last = x;
  for (x = box.low; x < box.high; ++x) {
    if (x >= columns.low && x < columns.high && thing[x - columns.low]) last = x;
    line[x - box.low] = across(x - last);
  }
  if (!fx) return;
  last = columns.high + 2 * fx + 2;
  for (x = columns.high - 1; x >= std::max(box.high, columns.low); --x)
    if (thing[x - columns.low]) last = x;
  for (x = box.high - 1; x >= box.low; --x) {
    if (x >= columns.low && x < columns.high && thing[x - columns.low]) last = x;
    line[x - box.low] = std::max(line[x - box.low], across(last - x));
  }
}

}  // namespace

Region locate(const Target& t, const Plane& plane, const Format& format, int feather) {
  const int log2_w = plane.chroma ? format.log2_w : 0, log2_h = plane.chroma ? format.log2_h : 0;
  Region r;
  r.target = &t;
  r.hx = half(t.h, log2_w);
  r.hy = half(t.h, log2_h);
  r.fx = half(feather, log2_w);
  r.fy = half(feather, log2_h);
  r.object_x = extent(t.x0, t.x1, log2_w, format.left);
  r.object_y = extent(t.y0, t.y1, log2_h, format.top);
  r.x = {std::max(0, r.object_x.low - r.fx), std::min(plane.width, r.object_x.high + r.fx)};
  r.y = {std::max(0, r.object_y.low - r.fy), std::min(plane.height, r.object_y.high + r.fy)};
  return r;
}

void Cover::build(const Region& region, const Plane& plane, const Format& format) {
  width_ = region.x.size();
  shape_ = region.target->shape;
  opaque_ = shape_ != Shape::mask && region.fx == 0 && region.fy == 0;
  if (spans()) build_spans(region, plane, format);
  if (opaque_) return;
  if (!full()) return build_map(region, plane, format);
  const auto fade = [](std::vector<std::int16_t>& out, Range box, Range object, int f) {
    const Ramp ramp(f);
    out.resize(static_cast<std::size_t>(box.size()));
    for (int i = box.low; i < box.high; ++i)
      out[static_cast<std::size_t>(i - box.low)] = ramp(std::max({0, object.low - i, i - object.high + 1}));
  };
  fade(across_, region.x, region.object_x, region.fx);
  fade(down_, region.y, region.object_y, region.fy);
}

const std::int16_t* Cover::alpha(int y, int x, int n, std::int16_t* room) const {
  if (opaque_) {
    std::fill_n(room, n, std::int16_t{256});
  } else if (full()) {
    const std::int16_t limit = down_[static_cast<std::size_t>(y)];
    const std::int16_t* across = across_.data() + x;
    for (std::ptrdiff_t i = 0; i < n; ++i) room[i] = across[i] < limit ? across[i] : limit;
  } else {
    return map_.data() + static_cast<std::ptrdiff_t>(y) * width_ + x;
  }
  return room;
}

void Cover::mask(int y, std::uint8_t* out) const {
  if (shape_ == Shape::mask) {
    const std::int16_t* alpha = map_.data() + static_cast<std::ptrdiff_t>(y) * width_;
    for (std::ptrdiff_t x = 0; x < width_; ++x) out[x] = alpha[x] > 0;
    return;
  }
  const Range r = span(y);
  std::fill_n(out, width_, std::uint8_t{0});
  std::fill(out + r.low, out + r.high, std::uint8_t{1});
}

void Cover::build_spans(const Region& region, const Plane& plane, const Format& format) {
  const Sampling at(plane, format);
  const int height = region.y.size(), fx = region.fx, fy = region.fy;
  object_.resize(static_cast<std::size_t>(height + 2 * fy));
  for (int i = 0; i < height + 2 * fy; ++i)
    object_[static_cast<std::size_t>(i)] = ellipse_object(*region.target, region.y.low - fy + i, at);
  spans_.resize(static_cast<std::size_t>(height));
  tops_.assign(static_cast<std::size_t>(width_ + row_slack), 0);
  bottoms_.assign(static_cast<std::size_t>(width_ + row_slack), 0);
  for (int y = 0; y < height; ++y) {
    Range all{};
    for (int k = y; k <= y + 2 * fy; ++k) {
      const Range r = object_[static_cast<std::size_t>(k)];
      if (r.size() <= 0) continue;
      all = all.size() > 0 ? Range{std::min(all.low, r.low), std::max(all.high, r.high)} : r;
    }
    if (all.size() > 0)
      all = {std::max(all.low - fx, region.x.low) - region.x.low, std::min(all.high + fx, region.x.high) - region.x.low};
    spans_[static_cast<std::size_t>(y)] = all.size() > 0 ? all : Range{};
  }
  // A column begins with the first row that reaches it, so only what a row adds to those above it is new.
  const auto grow = [&](Range& seen, Range r, auto set) {
    if (r.size() <= 0) return;
    if (seen.size() <= 0) seen = {r.low, r.low};
    for (int x = r.low; x < seen.low; ++x) set(x);
    for (int x = std::max(seen.high, r.low); x < r.high; ++x) set(x);
    seen = {std::min(seen.low, r.low), std::max(seen.high, r.high)};
  };
  Range seen{};
  for (int y = 0; y < height; ++y) grow(seen, span(y), [&](int x) { tops_[static_cast<std::size_t>(x)] = y; });
  seen = {};
  for (int y = height - 1; y >= 0; --y) grow(seen, span(y), [&](int x) { bottoms_[static_cast<std::size_t>(x)] = y + 1; });
}

void Cover::build_map(const Region& region, const Plane& plane, const Format& format) {
  const Sampling at(plane, format);
  const int width = width_, height = region.y.size(), fx = region.fx, fy = region.fy;
  map_.assign(static_cast<std::size_t>(width) * static_cast<std::size_t>(height), 0);
  // Object samples count from a feather's width outside of the bounding box, and no further.
  const Range columns{std::max(region.object_x.low, region.x.low - fx), std::min(region.object_x.high, region.x.high + fx)};
  const Range rows{std::max(region.object_y.low, region.y.low - fy), std::min(region.object_y.high, region.y.high + fy)};
  if (columns.size() <= 0 || rows.size() <= 0) return;
  thing_.resize(static_cast<std::size_t>(columns.size()));
  line_.resize(static_cast<std::size_t>(width));
  std::int16_t* line = line_.data();
  const Ramp across(fx), down(fy);
  for (int y = rows.low; y < rows.high; ++y) {
    if (spans()) {
      const Range r = ellipse_object(*region.target, y, at);
      if (r.size() <= 0) continue;
      for (int x = region.x.low; x < region.x.high; ++x)
        line[x - region.x.low] = across(std::max({0, r.low - x, x - r.high + 1}));
    } else {
      std::fill(thing_.begin(), thing_.end(), std::uint8_t{0});
      for (int k = at.first_row(y); k <= at.last_row(y); ++k)
        mark_row(*region.target, k, columns, at.log2_w, at.left, thing_.data());
      fade_row(thing_.data(), region.x, columns, fx, across, line);
    }
    // Down the columns: this row's share of every row within the feather.
    for (int to = std::max(region.y.low, y - fy); to < std::min(region.y.high, y + fy + 1); ++to) {
      const std::int16_t limit = down(std::abs(to - y));
      std::int16_t* out = map_.data() + static_cast<std::ptrdiff_t>(to - region.y.low) * width;
      for (int i = 0; i < width; ++i) out[i] = std::max(out[i], std::min(line[i], limit));
    }
  }
}

}  // namespace anonfilter
