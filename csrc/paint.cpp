// Pixelize and fill: what goes into one region of one component. Who writes a sample is decided in writer.cpp.
#include <algorithm>
#include <cstddef>

#include "edit.hpp"

namespace anonfilter {
namespace {

// A row of the bounding box, of which the mask's columns are written.
void write(const Job& job, int y, const std::uint16_t* codes) {
  const Range r = job.cover.span(y);
  if (r.size() > 0) job.writer.row(y, r.low, r.size(), codes + r.low, 0);
}

}  // namespace

void pixelize(const Job& job, int cells) {
  const Region& region = job.region;
  const int width = region.x.size(), height = region.y.size();
  const int across = std::max(1, std::min(cells, (region.target->x1 - region.target->x0) / 2));
  const int down = std::max(1, std::min(cells, (region.target->y1 - region.target->y0) / 2));
  // First sample of cell i of n; the outermost cells reach over the feather.
  const auto begin = [](Range object, int i, int n) {
    return object.low + static_cast<int>(static_cast<std::int64_t>(i) * object.size() / n);
  };
  Scratch& room = scratch();
  int* column = room.index.get(width);
  for (int x = 0, i = 0; x < width; ++x) {
    while (i + 1 < across && region.x.low + x >= begin(region.object_x, i + 1, across)) ++i;
    column[x] = i;
  }
  const bool masked = !job.cover.full();
  std::uint8_t* bits = room.mask.get(width);
  std::uint64_t* sums = room.cells.get(2 * static_cast<std::ptrdiff_t>(across));
  std::uint64_t* counts = sums + across;
  std::uint16_t* codes = room.line.get(width);
  for (int y = 0, cell = 0; y < height; ++cell) {
    while (cell + 1 < down && region.y.low + y >= begin(region.object_y, cell + 1, down)) ++cell;
    const int end = cell + 1 < down ? std::min(height, begin(region.object_y, cell + 1, down) - region.y.low) : height;
    std::fill_n(sums, 2 * across, std::uint64_t{0});
    for (int row = y; row < end; ++row) {
      job.source.load(region.x.low, region.y.low + row, width, codes, 0);
      if (masked) job.cover.mask(row, bits);
      for (std::ptrdiff_t x = 0; x < width; ++x) {
        const unsigned one = masked ? bits[x] : 1u;
        sums[column[x]] += codes[x] * one;
        counts[column[x]] += one;
      }
    }
    for (int i = 0; i < across; ++i)
      if (counts[i]) sums[i] = (sums[i] + counts[i] / 2) / counts[i];
    for (std::ptrdiff_t x = 0; x < width; ++x) codes[x] = static_cast<std::uint16_t>(sums[column[x]]);
    for (; y < end; ++y) write(job, y, codes);
  }
}

void fill(const Job& job, std::uint16_t code) {
  std::uint16_t* codes = scratch().line.get(job.region.x.size());
  std::fill_n(codes, job.region.x.size(), code);
  for (int y = 0; y < job.region.y.size(); ++y) write(job, y, codes);
}

}  // namespace anonfilter
