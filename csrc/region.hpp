// Where a target lies in one plane: bounding box, mask and feather (DESIGN 5, and the head of kernels/ref.py).
#pragma once

#include <cstdint>
#include <vector>

#include "planes.hpp"
#include "unit.hpp"

namespace anonfilter {

constexpr int max_feather = 255;

// A half-open range of samples.
struct Range {
  int low = 0;
  int high = 0;
  int size() const { return high - low; }
};

struct Region {
  const Target* target = nullptr;
  int hx = 1, hy = 1;  // half windows in samples of this plane
  int fx = 0, fy = 0;  // feathers
  Range object_x, object_y;  // the object's own box, unclipped
  Range x, y;                // the mask's bounding box, clipped to the plane

  bool empty() const { return x.size() <= 0 || y.size() <= 0; }
  bool meets(const Region& other) const {
    return x.low < other.x.high && other.x.low < x.high && y.low < other.y.high && other.y.low < y.high;
  }
};

Region locate(const Target& target, const Plane& plane, const Format& format, int feather);

// alpha of each sample of a region's bounding box, 0..256. Reused from region to region: nothing is freed.
class Cover {
 public:
  void build(const Region& region, const Plane& plane, const Format& format);

  // Whether the mask is the whole bounding box.
  bool full() const { return shape_ == Shape::rect; }
  // Whether each row and each column of the mask is one interval (span, tops and bottoms give it): an ellipse, dilated
  // by a rectangle and clipped, is.
  bool spans() const { return shape_ == Shape::ellipse; }
  // Whether alpha is 256 everywhere on the mask.
  bool opaque() const { return opaque_; }

  // The mask's columns first..last-1 in row y of the bounding box; of bitmaps the whole row.
  Range span(int y) const { return spans() ? spans_[static_cast<std::size_t>(y)] : Range{0, width_}; }
  // The mask's rows top..bottom-1 in each column, with slack behind; top = bottom where it has none. Of spans only.
  const std::int32_t* tops() const { return tops_.data(); }
  const std::int32_t* bottoms() const { return bottoms_.data(); }

  // alpha of n samples of row y from column x on. `room` holds them; the result is room, or the cover's own memory.
  // Of samples off a span the result means nothing.
  const std::int16_t* alpha(int y, int x, int n, std::int16_t* room) const;
  // Whether each sample of row y is in the mask, 0 or 1.
  void mask(int y, std::uint8_t* out) const;

 private:
  void build_spans(const Region& region, const Plane& plane, const Format& format);
  void build_map(const Region& region, const Plane& plane, const Format& format);

  Shape shape_ = Shape::rect;
  bool opaque_ = true;
  int width_ = 0;
  std::vector<std::int16_t> across_, down_;  // rectangles: alpha is the lesser of the two
  std::vector<std::int16_t> map_;            // feathered ellipses, and bitmaps
  std::vector<Range> object_, spans_;
  std::vector<std::int32_t> tops_, bottoms_;
  std::vector<std::uint8_t> thing_;
  std::vector<std::int16_t> line_;
};

}  // namespace anonfilter
