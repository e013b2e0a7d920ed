// Who writes a sample, and how new samples reach the plane.
#pragma once

#include <cstdint>
#include <vector>

#include "planes.hpp"
#include "region.hpp"
#include "room.hpp"

namespace anonfilter {

// Regions that overlap: the input of their bounding box, and the alpha of whoever wrote a sample since.
struct Group {
  Range x, y;
  Room<std::uint16_t> before[2];
  Room<std::int16_t> best[2];

  std::ptrdiff_t width() const { return x.size(); }
  std::ptrdiff_t size() const { return width() * y.size(); }
  std::ptrdiff_t offset(int column, int line) const { return (line - y.low) * width() + (column - x.low); }
  void take(const Plane& plane, const Format& format);
};

// Writes rows of one region into one component.
class Writer {
 public:
  // group: null where no other region meets this one.
  Writer(const Region& region, const Cover& cover, const Source& source, const Channel& channel, const Format& format,
         Group* group, int component)
      : region_(region), cover_(cover), source_(source), channel_(channel), format_(format), group_(group), component_(component) {}

  // New samples of row y of the bounding box, columns x..x+n-1, which lie in cover.span(y): codes with `fraction` bits
  // below. Threads may write different samples at once.
  void row(int y, int x, int n, const std::uint16_t* from, int fraction) const;

 private:
  const Region& region_;
  const Cover& cover_;
  const Source& source_;
  const Channel& channel_;
  const Format& format_;
  Group* group_;
  int component_;
};

}  // namespace anonfilter
