// Where a target lies in one plane: bounding box, mask and feather (DESIGN 5, and the head of kernels/ref.py).
#pragma once

#include <cstdint>
#include <vector>

#include "planes.hpp"

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
  int order = 0;    // place in the caller's list
  int hx = 1, hy = 1;  // half windows in samples of this plane
  int fx = 0, fy = 0;  // feathers
  Range object_x, object_y;  // the object's own box, unclipped
  Range x, y;                // the mask's bounding box, clipped to the plane

  bool empty() const { return x.size() <= 0 || y.size() <= 0; }
  bool meets(const Region& other) const {
    return x.low < other.x.high && other.x.low < x.high && y.low < other.y.high && other.y.low < y.high;
  }
};

Region locate(const Target& target, int order, const Plane& plane, const Format& format, int feather);

// alpha of each sample of a region's bounding box, 0..256. Reused from region to region: nothing is freed.
class Cover {
 public:
  void build(const Region& region, const Plane& plane, const Format& format);

  // Whether the mask is the whole bounding box.
  bool full() const { return full_; }
  // Whether alpha is 256 everywhere.
  bool opaque() const { return opaque_; }
  // alpha of row y of the bounding box. `room` holds a row; the result is room, or the cover's own memory.
  const std::int16_t* row(int y, std::int16_t* room) const;

 private:
  void build_map(const Region& region, const Plane& plane, const Format& format);

  bool full_ = true;
  bool opaque_ = true;
  int width_ = 0;
  std::vector<std::int16_t> across_, down_;  // rectangles: alpha is the lesser of the two
  std::vector<std::int16_t> map_;            // all others
  std::vector<std::uint8_t> thing_;
  std::vector<std::int16_t> line_;
};

}  // namespace anonfilter
